"""Measuring: samples and tables, processes and scratch files, results."""
