"""Text for people: what anybody chose is made harmless."""

from __future__ import annotations

from sharray.notebook.text import cut, printable


def test_text_without_anything_to_escape_stays_as_it_is() -> None:
    for text in ("shm://a", "жφ 測", 'it\'s "so" \\x1b', ""):
        assert printable(text) == text
    assert printable("a\tb\x00\udcff\u200f'") == "a\\tb\\x00\\udcff\\u200f'"


def test_text_is_cut_only_if_it_is_longer() -> None:
    assert [cut("abc", length) for length in (4, 3, 2, 1)] == ["abc", "abc", "a…", "…"]
