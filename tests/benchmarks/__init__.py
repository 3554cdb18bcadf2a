"""Tests of the benchmark runner; the files mirror those of ``benchmarks``."""
