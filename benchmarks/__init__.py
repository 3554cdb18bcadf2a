"""The experiments of the papers, run and reported by ``python -m benchmarks``."""
