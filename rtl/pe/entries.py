"""Entry reader: walks a column's entries in the weight memory, one a cycle, and turns gaps into local rows."""

from amaranth.hdl import Array, Module, Mux, Signal, Value
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.load import LoadSignature, Unit, connect_memory
from rtl.parameters import ArrayParameters
from rtl.pe.fetch import is_increment, segment_layout


def product_layout(parameters: ArrayParameters) -> data.StructLayout:
    """Return the layout of what rides along with a code: the ``local_row`` and the ``activation``."""
    return data.StructLayout({"local_row": parameters.local_row, "activation": parameters.activation})


def entry_layout(parameters: ArrayParameters) -> data.StructLayout:
    """Return the layout of an entry on its way: its ``code`` and, as ``tag``, local row and activation."""
    return data.StructLayout({"code": parameters.entry["code"].shape, "tag": product_layout(parameters)})


def _column(parameters: ArrayParameters, segment: data.View) -> tuple[Value, Value, Value, Value]:
    """Return where the column of ``segment`` starts, the low bits of its end, whether it has no entry and whether it has only one.

    Of pointers that have just left their memory only the bits that differ are known; the low ones tell, because an entry takes a local row
    at least.
    """
    if parameters.reads_ahead:
        return segment.start, segment.end, segment.empty, segment.alone
    start, end = (Mux(segment.begins, segment.places[number], segment.places[1 - number]) for number in (1, 0))
    few = parameters.place_bits
    return start, end[:few], ~segment.changes.any(), is_increment(segment.changes, start[:few])


class EntryReader(wiring.Component):
    """Issues the entries of every column it is given, from its beginning to its end.

    A weight row holds several entries; it is read once for the entries in it that follow each other. The local row is the running sum of
    ``gap + 1`` from the column's top; a filler entry only moves it (and adds a zero). Entries without a gap fill one row after the other.

    Timing
    ------
    A column taken in cycle ``I`` issues its ``s`` entries in ``I + 1`` to ``I + s`` and the next one is taken in ``I + s`` at the earliest;
    a column without entries counts as ``s`` = 1. There are no more entries in a column than local rows. An entry issued in cycle ``c`` is
    offered in ``c + latency``: memory, its output register, lane selection. The output cannot be held, but in a cycle with ``hold`` no
    entry is issued.

    Parameters
    ----------
    parameters : ArrayParameters
    pe : int
        Which PE's words of the load bus are meant.

    Members
    -------
    i : ``In(stream.Signature(segment_layout(parameters)))``
    o : ``Out(stream.Signature(entry_layout(parameters), always_ready=True))``
    load : ``In(LoadSignature(parameters))``
        Writes unit WEIGHTS.
    hold : ``In(1)``
    issues : ``Out(1)``
        An entry is issued.
    reads : ``Out(1)``
        A weight row is read.
    busy : ``Out(1)``
        A column is held.
    leaves : ``Out(1)``
        The column held issues its last entry.
    """

    latency = 3

    def __init__(self, parameters: ArrayParameters, pe: int) -> None:
        self.parameters = parameters
        self.pe = pe
        super().__init__(
            {
                "i": In(stream.Signature(segment_layout(parameters))),
                "o": Out(stream.Signature(entry_layout(parameters), always_ready=True)),
                "load": In(LoadSignature(parameters)),
                "hold": In(1),
                "issues": Out(1),
                "reads": Out(1),
                "busy": Out(1),
                "leaves": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the issue stage, the memory and its pipeline."""
        m = Module()
        p = self.parameters
        control = data.StructLayout({"first": 1, "lane": p.lane_bits, "activation": p.activation})
        issue, read, row_stage, entry_stage = (Signal(control, reset_less=True) for _ in range(4))
        read_valid, row_valid, entry_valid = Signal(), Signal(), Signal()

        # Issue: one entry a cycle, unless held.
        segment, first, last = Signal(segment_layout(p), reset_less=True), Signal(reset_less=True), Signal(reset_less=True)
        place, following, upcoming = Signal(p.pointer), Signal(p.pointer), Signal(p.pointer, reset_less=True)
        # Whether the column has no entry, only one, or this is its last one: the queue waits for that, so of a column under way it is known
        # a cycle ahead.
        few, (start, end, empty, alone) = p.place_bits, _column(p, segment)
        # Read ahead, the register also knows of a new column: then nothing but it decides whether there is room for the next.
        leaves = last & (~self.hold | (first & empty)) if p.reads_ahead else Mux(first, empty | (alone & ~self.hold), last & ~self.hold)
        m.d.comb += [
            place.eq(Mux(first, start, upcoming)),
            following.eq(place + 1),
            issue.first.eq(first),
            issue.lane.eq(place),
            issue.activation.eq(segment.value),
            self.issues.eq(self.busy & ~(first & empty) & ~self.hold),
            self.leaves.eq(self.busy & leaves),
            self.i.ready.eq(~self.busy | self.leaves),
        ]
        with m.If(~self.hold):
            m.d.sync += [upcoming.eq(following), first.eq(0), last.eq(is_increment(end ^ following[:few], following[:few]))]
        with m.If(self.i.ready):
            m.d.sync += [self.busy.eq(self.i.valid), segment.eq(self.i.payload), first.eq(1)]
            if p.reads_ahead:
                m.d.sync += last.eq(self.i.payload.empty | self.i.payload.alone)

        # Memory, output register, lane selection.
        rows = data.ArrayLayout(p.entry, p.entries_per_row)
        m.submodules.weights = weights = memory.Memory(shape=rows, depth=p.weight_rows, init=[])
        write, port = weights.write_port(), weights.read_port()
        connect_memory(m, self.load, write, Unit.WEIGHTS, self.pe)
        # One address for both: a memory with a single port holds the weights.
        address = Mux(write.en, self.load.word.address, place >> p.lane_bits)
        m.d.comb += [
            write.addr.eq(address),
            port.addr.eq(address),
            self.reads.eq(self.issues & (first | (issue.lane == 0))),
            port.en.eq(self.reads & ~write.en),
        ]
        row, entry = Signal(rows, reset_less=True), Signal(p.entry, reset_less=True)
        m.d.sync += [read_valid.eq(self.issues), row_valid.eq(read_valid), entry_valid.eq(row_valid)]
        m.d.sync += [read.eq(issue), row_stage.eq(read), row.eq(port.data), entry_stage.eq(row_stage)]
        m.d.sync += entry.eq(Array(row[lane] for lane in range(p.entries_per_row))[row_stage.lane])

        self._local_rows(m, entry, entry_stage, entry_valid)
        return m

    def _local_rows(self, m: Module, entry: Signal, entry_stage: Signal, entry_valid: Signal) -> None:
        """From gaps to local rows."""
        p = self.parameters
        above, local_row = Signal(p.local_row, reset_less=True), Signal(p.local_row)
        m.d.comb += [
            local_row.eq(Mux(entry_stage.first, 0, above + 1) + (entry.gap if p.has_gaps else 0)),
            self.o.valid.eq(entry_valid),
            self.o.payload.code.eq(entry.code),
            self.o.payload.tag.local_row.eq(local_row),
            self.o.payload.tag.activation.eq(entry_stage.activation),
        ]
        with m.If(entry_valid):
            m.d.sync += above.eq(local_row)
