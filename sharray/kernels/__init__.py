"""Kernels: compiled functions that work on shared arrays in several processes."""
