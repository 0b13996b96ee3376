"""Whether numbers and texts from a stranger are checked, and named when they are wrong."""

import pytest

from qsim.errors import FileFormatError
from qsim.formats.fields import Bytes, Fields


def test_items_are_taken_in_order():
    fields = Fields([3, "a", [1], {"k": None, "l": 1.5}], "file")
    assert (fields.integer("n", 0, 3), fields.text("t"), fields.fields("list").left) == (3, "a", 1)
    assert fields.plain_map("notes") == {"k": None, "l": 1.5}
    fields.end()


@pytest.mark.parametrize(
    ("take", "message"),
    [
        (lambda: Fields("abc", "file"), "file must be a list"),
        (lambda: Fields([], "file").integer("n", 0, 1), "file.n must be present"),
        (lambda: Fields([2], "file").integer("n", 0, 1), "file.n must be an integer from 0 to 1, not 2"),
        (lambda: Fields([True], "file").integer("n", 0, 1), "file.n must be an integer"),
        (lambda: Fields([1.0], "file").integer("n", 0, 1), "file.n must be an integer"),
        (lambda: Fields([b"x"], "file").text("t"), "file.t must be text"),
        (lambda: Fields([[3]], "file").fields("list").text("t"), "file.list.t must be text, not 3"),
        (lambda: Fields([[]], "file").plain_map("m"), "file.m must be a map"),
        (lambda: Fields([{"k": []}], "file").plain_map("m"), "file.m must be a map from text to plain values"),
        (lambda: Fields([1], "file").end(), "file must be a list of 0 items, not 1"),
        (lambda: Fields([[0] * 10**6], "file").text("t"), "..."),
        (lambda: Bytes(b"ab", "payload").take("x", 3), "payload.x must be 3 bytes long, not '2 bytes before the end'"),
        (lambda: Bytes(b"ab", "payload").end(), "payload must be 0 bytes long"),
    ],
)
def test_errors_name_the_field_and_stay_short(take, message):
    with pytest.raises(FileFormatError) as caught:
        take()
    assert message in str(caught.value)
    assert len(str(caught.value)) < 200
