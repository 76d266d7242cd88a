"""Numbers with their units, for people."""

from __future__ import annotations

_SCALES: dict[str, list[tuple[float, str]]] = {
    "s": [(1e9, " ns"), (1e6, " us"), (1e3, " ms"), (1, " s")],
    "B": [(1, " B"), (1e-3, " kB"), (1e-6, " MB"), (1e-9, " GB")],
    "x": [(1, "x")],
}


def quantity(value: float, unit: str) -> str:
    """Return a number of seconds, bytes or times with its unit.

    Examples
    --------
    >>> quantity(1.25e-5, "s"), quantity(0.031, "s"), quantity(1.084, "x")
    ('12.5 us', '31 ms', '1.08x')
    >>> quantity(213, "B"), quantity(1e9, "B"), quantity(0.000035, "x")
    ('213 B', '1 GB', '3.5e-05x')
    """
    factor, name = _scale(value, unit)
    return f"{value * factor:.3g}{name}"


def span(low: float, high: float, middle: float, unit: str) -> str:
    """Two numbers, both in the unit that fits what is between them.

    Examples
    --------
    >>> span(0.9e-6, 1.2e-6, 1.1e-6, "s")
    '0.9 - 1.2'
    """
    factor, _ = _scale(middle, unit)
    return f"{low * factor:.3g} - {high * factor:.3g}"


def in_words(ratio: float, unit: str) -> str:
    """How something compares that takes a multiple of the time, or of memory.

    Examples
    --------
    >>> in_words(0.02, "s"), in_words(0.97, "s"), in_words(1.5, "s")
    ('50x faster', 'the same', '1.5x slower')
    >>> in_words(0.001234, "B"), in_words(12.34, "x")
    ('810x less', '12x more')
    """
    if is_same(ratio):
        return "the same"
    less, more = ("faster", "slower") if unit == "s" else ("less", "more")
    factor, word = (ratio, more) if ratio > 1 else (1 / ratio, less)
    return f"{float(f'{factor:.2g}'):,g}x {word}"


def factors(low: float, high: float, middle: float) -> str:
    """Return two ratios as the factors that `in_words` shows for the one between.

    Examples
    --------
    >>> factors(1.4, 1.62, 1.5), factors(0.01, 0.025, 0.02)
    ('1.4 - 1.6', '40 - 100')
    """
    if middle < 1:
        low, high = 1 / high, 1 / low
    return " - ".join(f"{float(f'{one:.2g}'):,g}" for one in (low, high))


def is_same(ratio: float) -> bool:
    """Whether two numbers with this ratio are called the same."""
    return 1 / 1.05 <= ratio <= 1.05


def _scale(value: float, unit: str) -> tuple[float, str]:
    """By what to multiply so that few digits do, and the name of that unit."""
    # Rounded, since 999.9 would be shown as 1e+03.
    fitting = [
        scale for scale in _SCALES[unit] if float(f"{value * scale[0]:.3g}") < 1000
    ]
    return fitting[0] if fitting else _SCALES[unit][-1]
