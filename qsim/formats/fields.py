"""Reading numbers and texts that a stranger wrote: every field is checked for type and range, and named when it is wrong."""

from collections.abc import Sequence

from qsim.errors import FileFormatError


class Fields:
    """Takes the items of a list from a file, one after the other.

    Parameters: ``values``, what the file holds where a list should be; ``path``, its name in messages. Every method raises
    :class:`FileFormatError` for a missing item or one of another type or range.
    """

    def __init__(self, values: object, path: str) -> None:
        if not isinstance(values, list | tuple):
            raise FileFormatError(path=path, rule="a list", value=_short(values))
        self._values: Sequence[object] = values
        self._next = 0
        self.path = path

    def integer(self, name: str, minimum: int, maximum: int) -> int:
        """Take an integer from ``minimum`` to ``maximum``."""
        value = self._take(name)
        if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= maximum:
            raise FileFormatError(path=f"{self.path}.{name}", rule=f"an integer from {minimum} to {maximum}", value=_short(value))
        return value

    def text(self, name: str) -> str:
        """Take a text."""
        value = self._take(name)
        if not isinstance(value, str):
            raise FileFormatError(path=f"{self.path}.{name}", rule="text", value=_short(value))
        return value

    def attribute(self, name: str) -> int | float | str | tuple[int, ...] | tuple[float, ...] | tuple[str, ...]:
        """Take a number or a text, or a list of one kind of them."""
        value = self._take(name)
        items = value if isinstance(value, list | tuple) else [value]
        for kind in (int, float, str):
            if all(type(item) is kind for item in items):
                return tuple(value) if isinstance(value, list | tuple) else value  # type: ignore[return-value]
        raise FileFormatError(path=f"{self.path}.{name}", rule="a number, a text or a list of one kind of them", value=_short(value))

    def fields(self, name: str) -> "Fields":
        """Take a list, to be read in turn."""
        return Fields(self._take(name), f"{self.path}.{name}")

    def plain_map(self, name: str) -> dict[str, str | int | float | bool | None]:
        """Take a map from texts to plain values."""
        value = self._take(name)
        if not isinstance(value, dict):
            raise FileFormatError(path=f"{self.path}.{name}", rule="a map", value=_short(value))
        for key, item in value.items():
            if not isinstance(key, str) or not isinstance(item, str | int | float | bool | None):
                raise FileFormatError(path=f"{self.path}.{name}", rule="a map from text to plain values", value=_short(item))
        return value

    @property
    def next_is_list(self) -> bool:
        """Whether the item taken next is a list."""
        return bool(self.left) and isinstance(self._values[self._next], list | tuple)

    @property
    def left(self) -> int:
        """Number of items not yet taken."""
        return len(self._values) - self._next

    def end(self) -> None:
        """Check that nothing is left."""
        if self.left:
            raise FileFormatError(path=self.path, rule=f"a list of {self._next} items", value=len(self._values))

    def _take(self, name: str) -> object:
        if not self.left:
            raise FileFormatError(path=f"{self.path}.{name}", rule="present", value="the end of the list")
        self._next += 1
        return self._values[self._next - 1]


class Bytes:
    """Takes byte strings of given lengths from ``data``, the payload of a file; ``path`` names it in messages."""

    def __init__(self, data: bytes, path: str) -> None:
        self._data = data
        self._next = 0
        self.path = path

    @property
    def left(self) -> int:
        """Number of bytes not yet taken."""
        return len(self._data) - self._next

    def take(self, name: str, count: int) -> bytes:
        """Take ``count`` bytes; :class:`FileFormatError` when there are fewer."""
        if count > self.left:
            raise FileFormatError(path=f"{self.path}.{name}", rule=f"{count} bytes long", value=f"{self.left} bytes before the end")
        self._next += count
        return self._data[self._next - count : self._next]

    def end(self) -> None:
        """Check that nothing is left."""
        if self.left:
            raise FileFormatError(path=self.path, rule=f"{self._next} bytes long", value=f"{len(self._data)} bytes")


def _short(value: object) -> object:
    text = repr(value)
    return value if len(text) <= 60 else f"{text[:60]}..."
