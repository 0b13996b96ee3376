"""The non-zero scan: activation memory rows in, a stream of (column, activation) out."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.activations import RowReads
from rtl.parameters import ArrayParameters
from rtl.stream import Queue


def scan_row_layout(parameters: ArrayParameters) -> data.StructLayout:
    """Return the layout of a row ready to be scanned: its ``values``, which of them are ``wanted``, and where its columns are: ``pairs``
    counts up from the pair of the first one, which is the second of its pair if ``odd`` (rows of an even width begin with a first).
    """
    p = parameters
    pairs = data.ArrayLayout(p.pair, (p.row_width + 1) // 2 + 1)
    values = data.ArrayLayout(p.activation, p.row_width)
    return data.StructLayout({"odd": p.row_width % 2, "pairs": pairs, "last": 1, "wanted": p.row_width, "values": values})


class NonZeroScan(wiring.Component):
    """Reads activation rows and offers their non-zero elements in order of columns.

    Timing
    ------
    ``start`` in cycle -1. The first row is scanned in cycle ``start_latency``. A row keeps the scan one cycle for each of its non-zeros,
    an all-zero row one cycle; the next row is always ready, so no cycle is lost between rows. ``active`` from cycle 0 to the cycle
    in which the last row is left, inclusive. ``o`` comes from registers: it fans out to all PEs.

    Parameters
    ----------
    parameters : ArrayParameters

    Members
    -------
    start : ``In(1)``
        Begin a layer; only while not ``active``.
    layer : ``In(parameters.layer)``
        ``scan_rows`` (at least 1), ``columns``, ``column_base`` and ``every_column`` are read; they must not change while ``active``.
    rows : ``Out(RowReads(parameters))``
        To the activation memory.
    o : ``Out(stream.Signature(parameters.item))``
    active : ``Out(1)``
    passes_zeros : ``Out(1)``
        A row without an item to offer is left. To observe.
    """

    start_latency = 4

    def __init__(self, parameters: ArrayParameters) -> None:
        self.parameters = parameters
        # From the cycle in which a row leaves this queue to that in which the row read instead could leave it: a row a cycle needs as many.
        self.ahead = Queue(scan_row_layout(parameters), self.start_latency)
        super().__init__(
            {
                "start": In(1),
                "layer": In(parameters.layer),
                "rows": Out(RowReads(parameters)),
                "o": Out(stream.Signature(parameters.item)),
                "active": Out(1),
                "passes_zeros": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the reading of rows ahead and the row being scanned."""
        m = Module()
        m.submodules.ahead = self.ahead
        left = Signal()
        self._read_ahead(m, left)
        self._offer(m, left)
        with m.If(self.start):
            m.d.sync += self.active.eq(1)
        return m

    def _read_ahead(self, m: Module, left: Signal) -> None:
        """Read a row whenever the queue will have a slot for it: memory output ``read``, its register ``held``, the queue.

        The decision uses registers only, so that no path leads from the PEs' queues to the memory. ``left``: a row left the queue.
        """
        p, layer = self.parameters, self.layer
        coming = data.StructLayout({"base": p.scanned_column, "last": 1, "values": data.ArrayLayout(p.activation, p.row_width)})
        next_base, end, rows_left = Signal(p.scanned_column), Signal(p.scanned_column), Signal(range(p.activation_rows + 1))
        slots = Signal(range(self.ahead.depth + 1), init=self.ahead.depth)
        fetch, read_valid, held_valid = Signal(), Signal(), Signal()
        read, held, queued = Signal(coming, reset_less=True), Signal(coming, reset_less=True), self.ahead.i.payload
        m.d.comb += [
            fetch.eq((rows_left != 0) & (slots != 0)),
            self.rows.en.eq(fetch),
            self.rows.restart.eq(self.start),
        ]
        m.d.sync += [
            end.eq(layer.column_base + layer.columns),
            slots.eq(slots + left - fetch),
            read_valid.eq(fetch),
            held_valid.eq(read_valid),
        ]
        with m.If(fetch):
            m.d.sync += [
                next_base.eq(next_base + p.row_width),
                rows_left.eq(rows_left - 1),
                read.last.eq(rows_left == 1),
                read.base.eq(next_base),
            ]
        with m.If(self.start):
            m.d.sync += [next_base.eq(layer.column_base), rows_left.eq(layer.scan_rows)]

        m.d.sync += [held.base.eq(read.base), held.last.eq(read.last), held.values.eq(self.rows.values)]
        m.d.comb += [
            self.ahead.i.valid.eq(held_valid),
            queued.odd.eq(held.base),
            queued.last.eq(held.last),
            queued.values.eq(held.values),
        ]
        m.d.comb += [pair.eq((held.base >> 1) + number) for number, pair in enumerate(queued.pairs)]
        for lane in range(p.row_width):
            inside = held.base + lane < end
            m.d.comb += queued.wanted[lane].eq(inside & (layer.every_column | (held.values[lane] != 0)))

    def _offer(self, m: Module, left: Signal) -> None:
        """Offer the elements of a row, then the first of the next; ``rest``: wanted elements behind the one that is offered."""
        row, row_valid, rest = Signal(scan_row_layout(self.parameters), reset_less=True), Signal(), Signal(self.parameters.row_width)
        item = Signal(self.parameters.item, reset_less=True)
        following = self.ahead.o.payload
        leaves, moves = Signal(), Signal()
        m.d.comb += [
            leaves.eq(row_valid & ~rest.any() & (~self.o.valid | self.o.ready)),
            moves.eq(self.o.valid & self.o.ready & rest.any()),
            self.ahead.o.ready.eq(~row_valid | leaves),
            left.eq(self.ahead.o.valid & self.ahead.o.ready),
            self.passes_zeros.eq(leaves & ~self.o.valid),
            self.o.payload.eq(item),
        ]
        with m.If(moves):
            m.d.sync += [rest.eq(rest & (rest - 1)), item.eq(self._first(m, rest, row))]
        with m.If(leaves):
            m.d.sync += [row_valid.eq(0), self.o.valid.eq(0)]
        with m.If(left):
            m.d.sync += [
                row.eq(following),
                row_valid.eq(1),
                rest.eq(following.wanted & (following.wanted - 1)),
                self.o.valid.eq(following.wanted.any()),
                item.eq(self._first(m, following.wanted, following)),
            ]
        with m.If(leaves & row.last):
            m.d.sync += self.active.eq(0)

    def _first(self, m: Module, wanted: Signal, row: data.View) -> data.View:
        """Return the first of the ``wanted`` elements of a row, as an item."""
        p = self.parameters
        item, lane = Signal(p.item), Signal(range(p.row_width))
        for number in reversed(range(self.parameters.row_width)):
            with m.If(wanted[number]):
                m.d.comb += lane.eq(number)
        place = lane + row.odd
        m.d.comb += [item.column.eq(Cat(place[0], row.pairs[place >> 1])), item.value.eq(row.values[lane])]
        if p.has_gaps:
            m.d.comb += item.next_pair.eq(row.pairs[(place + 1) >> 1])
        return item
