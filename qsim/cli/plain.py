"""Texts out of files, made harmless for a terminal."""


def plain(text: str) -> str:
    """Return ``text`` without the control characters by which a hostile file could write all over a terminal."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in text)
