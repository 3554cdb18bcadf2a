"""What happens inside one fit: the two seams, and the trainers that have them."""
