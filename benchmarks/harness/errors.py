"""The error that ends the benchmarks."""


class BenchmarkError(Exception):
    """What keeps them from their work, in a sentence for who called them."""
