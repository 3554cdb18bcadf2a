"""small-text classifiers and their factories."""
