"""The error that ends the benchmarks."""


class BenchmarkError(Exception):
    """The benchmarks cannot run; the message says why."""
