"""The content of every memory of the hardware, as words of the load bus: of one layer, or of a whole network with its descriptors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from amaranth.hdl import Shape
from amaranth.lib import data

from qsim.arch.architecture import PEKind
from qsim.errors import UnsupportedProgram
from qsim.formats.fixed import IntArray
from rtl.job import ArrayJob, check_job
from rtl.load import Unit, load_layout
from rtl.parameters import ArrayParameters
from rtl.places import ActivationPlaces
from rtl.windows import WindowJob


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPlace:
    """Where a layer lies in the memories: ``weights``: its first place in the weight memory of each PE (whole weight rows); ``column``: its
    first pointer; ``row``: its first stored bias; ``source``: the half that holds its input; ``store``: it writes its outputs to the other.
    """

    weights: tuple[int, ...]
    column: int = 0
    row: int = 0
    source: int = 0
    store: bool = False


@dataclass(frozen=True, slots=True)
class ImagePacker:
    """Makes words of the load bus, as rows of bytes, low byte first."""

    parameters: ArrayParameters
    every_column: bool

    def words(self, unit: Unit, values: list[int], pe: int = 0, start: int = 0) -> list[int]:
        """Return the words that write ``values`` to addresses ``start``, ``start + 1``, ... of a unit."""
        layout = load_layout(self.parameters)
        fixed = (unit.value << layout["unit"].offset) | (pe << layout["pe"].offset)
        address, place = layout["address"].offset, layout["data"].offset
        return [fixed | (number << address) | (value << place) for number, value in enumerate(values, start)]

    def layer_words(self, job: ArrayJob) -> npt.NDArray[np.uint8]:
        """Return every word of a single layer but its activations."""
        place = LayerPlace(weights=(0,) * self.parameters.pes)
        words = self.words(Unit.LAYER, [self._configuration(job, place)])
        if job.codebook is not None:
            words += self.words(Unit.CODEBOOK, _unsigned(job.codebook, self.parameters.weight_bits))
        return self.bytes_of(words + self._memory_words(job, place))

    def network_words(self, jobs: Sequence[ArrayJob]) -> npt.NDArray[np.uint8]:
        """Return every word of a network: descriptors, codebooks, and the memories of all PEs, one layer behind the other; where weights
        are streamed all but weights and pointers.

        Raises :class:`UnsupportedProgram` naming the memory that the network does not fit.
        """
        p = self.parameters
        words: list[int] = []
        for number, (job, place) in enumerate(zip(jobs, self.places(jobs), strict=True)):
            fields = {"layer": self._configuration(job, place), "outputs": job.rows, "last": int(number == len(jobs) - 1)}
            fields |= {"streamed": 1} if p.streamed else {}
            words += self.words(Unit.DESCRIPTOR, [_pack(p.descriptor, **fields)], start=number)
            if job.codebook is not None:
                words += self.words(Unit.TABLE, _unsigned(job.codebook, p.weight_bits), start=number << p.code_bits)
            words += self._memory_words(job, place)
        return self.bytes_of(words)

    def places(self, jobs: Sequence[ArrayJob]) -> list[LayerPlace]:
        """Return where each layer of a network lies: streamed weights and pointers all at the start of their memories."""
        p, each = self.parameters, self.parameters.entries_per_row
        weights, column, row = np.zeros(p.pes, dtype=np.int64), 0, 0
        found: list[LayerPlace] = []
        for number, job in enumerate(jobs):
            check_job(p, job, f"layers[{number}]")
            if not p.has_gaps:  # one register for all PEs says where the layer begins
                weights[:] = weights.max()
            place = LayerPlace(weights=tuple(weights.tolist()), column=column, row=row, source=number % 2, store=True)
            found.append(place)
            if not p.streamed:  # a streamed layer fits if it fits alone
                weights += -(-job.pointers[:, -1] // each) * each
                column += -(-job.pointers.shape[1] // 2) * 2
            row += -(-job.rows // p.pes)
        pointers = column if p.has_gaps else 0
        for path, most, taken in (
            ("layers", p.layers, len(jobs)),
            ("weights of a PE", p.weight_rows * each, int(weights.max(initial=0))),
            ("pointers of a PE", 2 * p.pointer_pairs, pointers),
            ("outputs of a PE, of all layers", p.local_rows, row),
        ):
            if taken > most:
                raise UnsupportedProgram(path=path, rule=f"at most {most} on this machine", value=taken)
        return found

    def _configuration(self, job: ArrayJob, place: LayerPlace) -> int:
        p = self.parameters
        columns = job.pointers.shape[1] - 1
        window = {}
        if p.windows:
            window["window"] = _pack(p.window, **(job.window or _whole(columns)).fields(p))
        return _pack(
            p.layer,
            **window,
            scan_rows=-(-columns // p.row_width),
            columns=columns,
            drain_rows=-(-job.rows // p.pes),
            full_pes=(job.rows - 1) % p.pes + 1,
            bias_shift=job.bias_shift,
            left=max(0, -job.shift),
            right=max(0, job.shift),
            relu=int(job.relu),
            limit=(1 << (p.activation_bits - 1)) - 1 if job.limit is None else job.limit,
            every_column=int(self.every_column),
            column_base=place.column if p.has_gaps else 0,
            weight_base=0 if p.has_gaps else place.weights[0],
            row_base=place.row,
            source=place.source,
            store=int(place.store),
        )

    def _memory_words(self, job: ArrayJob, place: LayerPlace) -> list[int]:
        """Return the words of the memories of all PEs."""
        p = self.parameters
        words: list[int] = []
        ends = np.cumsum(job.pointers[:, -1])
        for pe, (start, end) in enumerate(zip(ends - job.pointers[:, -1], ends, strict=True)):
            width = Shape.cast(p.entry["code"].shape).width
            entries = job.codes[start:end] & ((1 << width) - 1)
            first = place.weights[pe]
            if job.gaps is not None and not p.streamed:
                entries |= job.gaps[start:end] << width
                pointers = self._pointers(job.pointers[pe], job.codes[start:end], first)
                words += self.words(Unit.POINTERS, pointers, pe, place.column // 2)
            if job.scales is not None:
                words += self.words(Unit.SCALE, job.scales[pe :: p.pes].tolist(), pe, place.row)
            if not p.streamed:
                words += self.words(Unit.WEIGHTS, _joined(entries, p.entries_per_row, p.entry.size), pe, first // p.entries_per_row)
            words += self.words(Unit.BIAS, _unsigned(job.bias[pe :: p.pes], p.bias_bits), pe, place.row)
        return words

    def _pointers(self, pointers: IntArray, codes: IntArray, first: int) -> list[int]:
        """Return the pairs of pointers of one PE; beside a column of pulses stand the cycles of its entries."""
        p = self.parameters
        values = pointers + first
        if p.kind is PEKind.PVQ:
            before = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(np.maximum(1, np.abs(codes)))])
            cycles = np.maximum(1, np.diff(before[pointers]))
            values |= np.append(cycles, 0) << p.column_pointer["cycles"].offset
        return _joined(values, 2, p.column_pointer.size)

    def activation_words(self, activations: IntArray, window: WindowJob | None = None) -> npt.NDArray[np.uint8]:
        """Return the words of one input [columns], or of an image, to half 0."""
        places = ActivationPlaces.of(self.parameters)
        if window is not None:
            pixels = activations.reshape(-1, window.channels)
            activations = np.pad(pixels, ((0, 0), (0, -window.channels % self.parameters.row_width))).ravel()
        rows = self.activation_rows(activations)
        return self.bytes_of(
            [word for number, row in enumerate(rows) for word in self.words(Unit.ACTIVATIONS, [row], start=places.address(number))]
        )

    def activation_rows(self, activations: IntArray) -> list[int]:
        """Return the rows of one input [columns], the first activation of each in the low bits."""
        p = self.parameters
        return _joined(np.array(_unsigned(activations, p.activation_bits), dtype=np.int64), p.row_width, p.activation_bits)

    def bytes_of(self, words: list[int]) -> npt.NDArray[np.uint8]:
        """Return ``words`` as bytes [n, width]."""
        width = -(-load_layout(self.parameters).size // 8)
        return np.frombuffer(b"".join(word.to_bytes(width, "little") for word in words), dtype=np.uint8).reshape(-1, width)


def _whole(columns: int) -> WindowJob:
    """Return the one window of a fully connected layer: all activations are the channels of one pixel."""
    one = (1, 1)
    return WindowJob(height=1, width=1, channels=columns, kernel=one, stride=one, dilation=one, padding=(0, 0), output=one)


def _pack(layout: data.StructLayout, **fields: int) -> int:
    return sum(value << layout[name].offset for name, value in fields.items())


def _unsigned(values: IntArray, bits: int) -> list[int]:
    return [int(value) & ((1 << bits) - 1) for value in values]


def _joined(values: IntArray, count: int, bits: int) -> list[int]:
    """Join each ``count`` following values of ``bits`` bits to one integer, the first in the low bits."""
    padded = np.concatenate([values, np.zeros(-len(values) % count, dtype=np.int64)]).reshape(-1, count).tolist()
    return [sum(value << (bits * lane) for lane, value in enumerate(row)) for row in padded]
