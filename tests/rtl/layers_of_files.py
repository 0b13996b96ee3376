"""Layers as a file holds them, whole and damaged, and what software makes of each: the loader's cases."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np

from qsim.encode.interleave import InterleavedImage, interleave
from qsim.errors import QsimError
from qsim.formats.coding import decode_form, encode_form
from qsim.formats.fields import Bytes, Fields
from qsim.formats.fixed import FixedFormat
from qsim.formats.layer import CompressedLayer, ScalarCoded
from qsim.formats.symbols import EncodeOptions
from rtl.load import Unit
from rtl.stream_image import StreamImage, StreamTables
from rtl.weight_port import WeightPort
from tests.rtl.loaders import LIMITS, PARAMETERS

BIAS = FixedFormat(8, 0)
LATENCY = 40  # of decoders, pipeline and the bench's own start


@dataclass(frozen=True, kw_only=True)
class Case:
    """A layer for ``unit``; ``form`` is what its memories must hold, None if it must be refused (with one of ``errors``, if given)."""

    name: str
    unit: str
    options: EncodeOptions
    image: StreamImage
    form: ScalarCoded | None
    weight_row: int = 0
    column_base: int = 0
    errors: tuple[int, ...] = ()

    @classmethod
    def of(cls, name: str, unit: str, form: ScalarCoded, options: EncodeOptions, **places: int) -> "Case":
        image = image_of(encoded(form, options), form.rows, form.cols, unit)
        return cls(name=name, unit=unit, options=options, form=form, image=image, **places)

    def to_json(self) -> dict[str, object]:
        p, image, form = PARAMETERS[self.unit], self.image, self.form
        words = None if form is None else self.expected(form)
        layer = {"rows": image.rows, "columns": image.columns, "index_bits": image.index_bits, "count": image.count}
        layer |= {"weight_base": self.weight_row * p.entries_per_row, "column_base": self.column_base}
        fillers = 0 if form is None else int((self.memory(form).codes == 0).sum())
        cycles = image.columns * (p.pes + 1) + 2 * p.pes + image.count + fillers
        return {
            "name": self.name,
            "unit": self.unit,
            "layer": layer,
            "codes": asdict(image.codes),
            "gaps": asdict(image.gaps),
            "words": words,
            "errors": self.errors,
            "cycles": cycles + LATENCY,
            "depths": {Unit.WEIGHTS.value: p.weight_rows, Unit.POINTERS.value: p.pointer_pairs},
        }

    def to_port(self, packet: list[int] | None = None, errors: tuple[int, ...] | None = None) -> dict[str, object]:
        """As :meth:`to_json`, for the port: the packet; a given one is damaged and must end with one of
        ``errors``, or somehow, if there are none.
        """
        case, good = self.to_json(), self.image.packet()
        words = good if packet is None else packet
        marked = [word | (place == len(words) - 1) << 32 for place, word in enumerate(words)]
        symbols = len(self.image.codes.symbols) + len(self.image.gaps.symbols)
        place = {name: case["layer"][name] for name in ("rows", "columns", "weight_base", "column_base")}
        return case | {
            "unit": f"{self.unit}_port",
            "layer": place,
            "packet": marked,
            "words": case["words"] if packet is None else None,
            "errors": errors,
            "cycles": case["cycles"] - LATENCY + len(good) + symbols + WeightPort.latency,
        }

    def memory(self, form: ScalarCoded) -> InterleavedImage:
        p = PARAMETERS[self.unit]
        return interleave(form, pes=p.pes, index_bits=p.index_bits, code_bits=p.code_bits)

    def expected(self, form: ScalarCoded) -> list[list[int]]:
        """The words [unit, PE, address, data] that fill the memories, in order."""
        p, found = PARAMETERS[self.unit], []
        image = self.memory(form)
        size, each = p.code_bits + p.index_bits, p.entries_per_row
        for pe in range(p.pes):
            codes, gaps = (values.tolist() for values in image.memory(pe))
            entries = [code | gap << p.code_bits for code, gap in zip(codes, gaps, strict=True)]
            for row, at in enumerate(range(0, len(entries), each)):
                data = sum(entry << lane * size for lane, entry in enumerate(entries[at : at + each]))
                found.append([Unit.WEIGHTS.value, pe, self.weight_row + row, data])
            places = [place + self.weight_row * each for place in image.pointers[pe].tolist()]
            for at in range(0, len(places), 2):
                data = sum(place << number * p.column_pointer.size for number, place in enumerate(places[at : at + 2]))
                found.append([Unit.POINTERS.value, pe, (self.column_base + at) // 2, data])
        return sorted(found)


def encoded(form: ScalarCoded, options: EncodeOptions) -> CompressedLayer:
    return encode_form(form, np.zeros(form.rows, dtype=np.int64), BIAS, options)


def image_of(layer: CompressedLayer, rows: int, cols: int, unit: str) -> StreamImage:
    return StreamImage.of(layer, rows, cols, LIMITS[unit])


def coded(rng: np.random.Generator, mask: np.ndarray, values: int, zeros: int = 0) -> ScalarCoded:
    """Random weights of ``values`` centroids, ``zeros`` of which are zero, where ``mask`` is set."""
    codebook = rng.permutation(np.r_[rng.choice(np.r_[-99:0, 1:99], values - zeros, replace=False), np.zeros(zeros, dtype=np.int64)])
    codes = np.minimum(rng.geometric(0.4, mask.shape) - 1, values - 1) * mask
    return ScalarCoded(codes=codes.astype(np.uint16), codebook=codebook, weight_format=FixedFormat(8, 0), mask=mask)


def random_layers(seed: int, each: int) -> Iterator[Case]:
    """Every size and density that fits, empty columns, zeros among the centroids, every way to encode."""
    rng = np.random.default_rng(seed)
    for unit, p in PARAMETERS.items():
        for number in range(each):
            rows, cols = int(rng.integers(1, 12 * p.pes)), int(rng.integers(1, 50))
            mask = rng.random((rows, cols)) < rng.random() ** 2
            mask[:, rng.random(cols) < rng.choice([0.0, 0.3, 0.9])] = False
            while mask.sum() > p.weight_rows * p.entries_per_row // 3:
                mask[:, rng.integers(cols)] = False
            zeros = int(rng.integers(0, 2))
            form = coded(rng, mask, int(rng.integers(1, 1 << p.code_bits)) + zeros, zeros)
            options = EncodeOptions(index_bits=int(rng.integers(1, 9)), huffman=bool(rng.integers(2)), max_code_length=10, by_column=True)
            places = {"weight_row": int(rng.integers(0, p.weight_rows // 8)), "column_base": 2 * int(rng.integers(0, 12))}
            yield Case.of(f"random {number}, {rows} x {cols}, {options}", unit, form, options, **places)


def edges(unit: str) -> Iterator[Case]:
    """No weights at all, one row, one column, one cell, all cells, the last cell alone behind the longest runs, the largest sizes."""
    p, rng = PARAMETERS[unit], np.random.default_rng(7)
    most = p.pes * p.local_rows
    masks = {
        "empty": np.zeros((2 * p.pes + 1, 6), dtype=bool),
        "one row": np.ones((1, 9), dtype=bool),
        "one column": np.ones((3 * p.pes + 1, 1), dtype=bool),
        "one cell": np.ones((1, 1), dtype=bool),
        "one empty cell": np.zeros((1, 1), dtype=bool),
        "full": np.ones((2 * p.pes, 7), dtype=bool),
        "corner": np.zeros((most, 40), dtype=bool),
        "every row, last column": np.zeros((most, 21), dtype=bool),
        "most columns": np.zeros((p.pes + 1, p.columns), dtype=bool),
    }
    masks["corner"][-1, -1] = True
    masks["every row, last column"][:, -1] = True
    masks["most columns"][0, :] = True
    for name, mask in masks.items():
        for bits in (1, 5, 9):
            yield Case.of(
                f"{name}, {bits} bits", unit, coded(rng, mask, 3), EncodeOptions(index_bits=bits, max_code_length=10, by_column=True)
            )


def damaged(case: Case, rng: np.random.Generator) -> Iterator[Case]:
    """Flipped bits: refused exactly if the file's own reader refuses them; streams cut short; another header; no room."""
    image = case.image
    for kind in ("codes", "gaps"):
        tables = getattr(image, kind)
        for _ in range(8):
            at, words = int(rng.integers(tables.bits)), list(tables.words)
            words[at // 32] ^= 1 << (31 - at % 32)
            yield judged(case, f"bit {at} of {kind}", **{kind: replace(tables, words=tuple(words))})
        for cut in range(1, len(tables.words), 1 + len(tables.words) // 3):
            yield refused(case, f"{cut} words of {kind}", (5,), **{kind: replace(tables, words=tables.words[:cut])})
        yield refused(case, f"a word too many of {kind}", (5,), **{kind: replace(tables, words=(*tables.words, 0))})
        for bits in (1, tables.bits - 1, tables.bits + 1):
            yield refused(case, f"{bits} bits of {kind}", (), **{kind: replace(tables, bits=bits)})
    for count in (0, image.count - 1, image.count + 1):
        yield refused(case, f"{count} entries", (2, 3, 5), count=count)


def misplaced(case: Case) -> Iterator[Case]:
    """Sizes and places that the array does not have, or not behind this layer: each with the one error that says so."""
    p, image = PARAMETERS[case.unit], case.image
    pointers = 2 * p.pointer_pairs
    for fields in ({"rows": 0}, {"rows": p.pes * p.local_rows + 1}, {"columns": 0}, {"columns": p.columns + 1}, {"index_bits": 0}):
        yield refused(case, str(fields), (1,), **fields)
    for column in (1, pointers - image.columns + image.columns % 2):
        yield replace(refused(case, f"first pointer {column}", (1,)), column_base=column)
    if case.form.mask[:, -1].any():
        yield refused(case, "a column less", (3,), columns=image.columns - 1)
    if case.memory(case.form).pointers[:, -1].max() > p.entries_per_row:
        yield replace(refused(case, "one weight row left", (4,)), weight_row=p.weight_rows - 1)
    yield replace(refused(case, "no weight row left", (4,)), weight_row=p.weight_rows)
    yield replace(refused(case, "behind the memory", (1,)), weight_row=p.weight_rows + 1)


def refused(case: Case, name: str, errors: tuple[int, ...], **fields: object) -> Case:
    return replace(case, name=f"{case.name}, {name}", image=replace(case.image, **fields), form=None, errors=errors)


def damaged_packets(case: Case, rng: np.random.Generator) -> Iterator[dict[str, object]]:
    """Flipped bits, words that lack or are too many, sizes that lie, orders that cannot be decoded."""
    good = case.image.packet()
    for place in rng.integers(0, len(good), 12).tolist():
        yield case.to_port([*good[:place], good[place] ^ (1 << int(rng.integers(32))), *good[place + 1 :]])
    for cut in (1, 2, 5, 9, len(good) // 2, len(good) - 1):
        yield case.to_port(good[:cut], (6,))
    yield case.to_port([*good, 0], (7,))
    for field, by in ((0, 1), (0, -1), (1, 1), (1, -1), (2, 32), (2, -32), (3, 32), (3, -32), (2, 1), (3, -1)):
        lying = good.copy()
        lying[field] += by
        yield case.to_port(lying, (2, 3, 5, 6, 7))
    first = next(place for place in range(len(good)) if good[place:] == case.image.streams)
    yield case.to_port([*good[:first], good[first] ^ 0xFFFFFFFF, *good[first + 1 :]], (2, 3, 5))
    if len(case.image.codes.words) > 3 and len(case.image.gaps.words) > 3:
        for kind in (0, 1):  # one stream whole, then the other
            whole = replace(case.image, **{("codes", "gaps")[kind]: replace(_part(case, kind), needs=(0,) * len(_part(case, kind).words))})
            yield case.to_port(whole.packet(), (5,))


def _part(case: Case, kind: int) -> StreamTables:
    return case.image.gaps if kind else case.image.codes


def judged(case: Case, name: str, **fields: object) -> Case:
    """Return the case with damaged streams, refused or not as the software reader finds."""
    image = replace(case.image, **fields)
    layer = encoded(case.form, case.options)
    changed = {"weights": image.codes, "gaps": image.gaps}
    streams = [
        replace(stream, payload=b"".join(word.to_bytes(4, "big") for word in changed[stream.name].words)[: len(stream.payload)])
        if stream.name in changed
        else stream
        for stream in layer.streams
    ]
    try:
        payload = Bytes(b"".join(stream.payload for stream in streams), "layer")
        form, _ = decode_form(Fields(layer.header, "layer"), payload, image.rows, image.columns, BIAS)
    except QsimError:
        form = None
    return replace(case, name=f"{case.name}, {name}", image=image, form=form)
