"""The host's contract, run on every public strategy, index and classifier."""
