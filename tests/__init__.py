"""Tests of small-text-ext; the folders mirror those of the package and of the benchmarks."""
