"""What is known of every text before a single label."""
