"""The non-zero scan: activation memory rows in, a stream of (column, activation) out."""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.load import LoadSignature, Unit, connect_memory
from rtl.parameters import ArrayParameters
from rtl.stream import Queue


def scan_row_layout(parameters: ArrayParameters) -> data.StructLayout:
    """Return the layout of a row on its way to the scan: the column of its first element, its ``values``, and which are ``wanted``."""
    p = parameters
    return data.StructLayout(
        {"base": p.layer["columns"].shape, "last": 1, "wanted": p.row_width, "values": data.ArrayLayout(p.activation, p.row_width)}
    )


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
        ``scan_rows`` (at least 1), ``columns`` and ``every_column`` are read; they must not change while ``active``.
    load : ``In(LoadSignature(parameters))``
        Writes unit ACTIVATIONS.
    o : ``Out(stream.Signature(parameters.item))``
    active : ``Out(1)``
    """

    start_latency = 4

    def __init__(self, parameters: ArrayParameters) -> None:
        self.parameters = parameters
        # From the cycle in which a row leaves this queue to that in which the row read instead could leave it: a row a cycle needs as many.
        self.rows = Queue(scan_row_layout(parameters), self.start_latency)
        super().__init__(
            {
                "start": In(1),
                "layer": In(parameters.layer),
                "load": In(LoadSignature(parameters)),
                "o": Out(stream.Signature(parameters.item)),
                "active": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the reading of rows ahead and the row being scanned."""
        m = Module()
        m.submodules.rows = self.rows
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
        row = scan_row_layout(p)
        m.submodules.activations = store = memory.Memory(shape=row["values"].shape, depth=p.activation_rows, init=[])
        connect_memory(m, self.load, store.write_port(), Unit.ACTIVATIONS)
        port = store.read_port()

        next_row, rows_left = Signal(range(p.activation_rows + 1)), Signal(range(p.activation_rows + 1))
        slots = Signal(range(self.rows.depth + 1), init=self.rows.depth)
        fetch, read_valid, held_valid = Signal(), Signal(), Signal()
        read, held, queued = Signal(row), Signal(row), Signal(row)
        m.d.comb += [fetch.eq((rows_left != 0) & (slots != 0)), port.addr.eq(next_row), port.en.eq(fetch)]
        m.d.sync += [slots.eq(slots + left - fetch), read_valid.eq(fetch), held_valid.eq(read_valid)]
        with m.If(fetch):
            m.d.sync += [
                next_row.eq(next_row + 1),
                rows_left.eq(rows_left - 1),
                read.last.eq(rows_left == 1),
                read.base.eq(Mux(next_row == 0, 0, read.base + p.row_width)),
            ]
        with m.If(self.start):
            m.d.sync += [next_row.eq(0), rows_left.eq(layer.scan_rows)]

        m.d.sync += [held.base.eq(read.base), held.last.eq(read.last), held.values.eq(port.data)]
        m.d.comb += [queued.eq(held), self.rows.i.payload.eq(queued), self.rows.i.valid.eq(held_valid)]
        for lane in range(p.row_width):
            inside = held.base + lane < layer.columns
            m.d.comb += queued.wanted[lane].eq(inside & (layer.every_column | (held.values[lane] != 0)))

    def _offer(self, m: Module, left: Signal) -> None:
        """Offer the elements of a row, then the first of the next; ``rest``: wanted elements behind the one that is offered."""
        row, row_valid, rest = Signal(scan_row_layout(self.parameters)), Signal(), Signal(self.parameters.row_width)
        following = self.rows.o.payload
        leaves, moves = Signal(), Signal()
        m.d.comb += [
            leaves.eq(row_valid & ~rest.any() & (~self.o.valid | self.o.ready)),
            moves.eq(self.o.valid & self.o.ready & rest.any()),
            self.rows.o.ready.eq(~row_valid | leaves),
            left.eq(self.rows.o.valid & self.rows.o.ready),
        ]
        with m.If(moves):
            m.d.sync += [rest.eq(rest & (rest - 1)), self.o.payload.eq(self._first(m, rest, row))]
        with m.If(leaves):
            m.d.sync += [row_valid.eq(0), self.o.valid.eq(0)]
        with m.If(left):
            m.d.sync += [
                row.eq(following),
                row_valid.eq(1),
                rest.eq(following.wanted & (following.wanted - 1)),
                self.o.valid.eq(following.wanted.any()),
                self.o.payload.eq(self._first(m, following.wanted, following)),
            ]
        with m.If(leaves & row.last):
            m.d.sync += self.active.eq(0)

    def _first(self, m: Module, wanted: Signal, row: data.View) -> data.View:
        """Return the first of the ``wanted`` elements of a row, as an item."""
        item, lane = Signal(self.parameters.item), Signal(range(self.parameters.row_width))
        for number in reversed(range(self.parameters.row_width)):
            with m.If(wanted[number]):
                m.d.comb += lane.eq(number)
        value = Array(row.values[number] for number in range(self.parameters.row_width))[lane]
        m.d.comb += [item.column.eq(row.base + lane), item.value.eq(value)]
        return item
