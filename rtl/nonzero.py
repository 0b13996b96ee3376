"""The non-zero scan: activation memory rows in, a stream of (column, activation) out."""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.load import LoadSignature, Unit, connect_memory
from rtl.parameters import ArrayParameters


class NonZeroScan(wiring.Component):
    """Reads activation rows and offers their non-zero elements in order of columns.

    Timing
    ------
    ``start`` in cycle -1. The first row is scanned in cycle ``start_latency``. A row keeps the scan one cycle for each of its non-zeros,
    an all-zero row one cycle; the next row is always ready, so no cycle is lost between rows. ``active`` from cycle 0 to the cycle
    in which the last row is left, inclusive.

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

    start_latency = 2

    def __init__(self, parameters: ArrayParameters) -> None:
        self.parameters = parameters
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
        """Build two row stages: ``read`` (behind the memory) and ``row`` (being scanned)."""
        m = Module()
        p = self.parameters
        row_shape = data.ArrayLayout(p.activation, p.row_width)
        m.submodules.activations = store = memory.Memory(shape=row_shape, depth=p.activation_rows, init=[])
        connect_memory(m, self.load, store.write_port(), Unit.ACTIVATIONS)
        port = store.read_port()

        next_row = Signal(range(p.activation_rows + 1))
        more = Signal()  # rows are left to read
        read_valid, read_last = Signal(), Signal()
        read_base, base = Signal.like(self.layer.columns), Signal.like(self.layer.columns)
        row, row_valid, row_last = Signal(row_shape), Signal(), Signal()
        wanted = Signal(p.row_width)  # elements of the row still to be offered
        rest = Signal(p.row_width)
        m.d.comb += rest.eq(wanted & (wanted - 1))

        leaves, advance, fetch = Signal(), Signal(), Signal()
        m.d.comb += [
            leaves.eq(row_valid & ~rest.any() & (~wanted.any() | self.o.ready)),
            advance.eq(read_valid & (~row_valid | leaves)),
            more.eq(next_row != self.layer.scan_rows),
            fetch.eq(self.active & more & (~read_valid | advance)),
            port.addr.eq(next_row),
            port.en.eq(fetch),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += wanted.eq(rest)
        with m.If(leaves):
            m.d.sync += row_valid.eq(0)
        with m.If(advance):
            m.d.sync += [row.eq(port.data), row_valid.eq(1), row_last.eq(read_last), base.eq(read_base), read_valid.eq(0)]
            for lane in range(p.row_width):
                inside = read_base + lane < self.layer.columns
                m.d.sync += wanted[lane].eq(inside & (self.layer.every_column | (port.data[lane] != 0)))
        with m.If(fetch):
            m.d.sync += [
                next_row.eq(next_row + 1),
                read_valid.eq(1),
                read_last.eq(next_row + 1 == self.layer.scan_rows),
                read_base.eq(Mux(next_row == 0, 0, read_base + p.row_width)),
            ]
        with m.If(leaves & row_last):
            m.d.sync += self.active.eq(0)
        with m.If(self.start):
            m.d.sync += [self.active.eq(1), next_row.eq(0)]

        lane = Signal(range(p.row_width))
        for number in reversed(range(p.row_width)):
            with m.If(wanted[number]):
                m.d.comb += lane.eq(number)
        m.d.comb += [
            self.o.valid.eq(row_valid & wanted.any()),
            self.o.payload.column.eq(base + lane),
            self.o.payload.value.eq(Array(row[number] for number in range(p.row_width))[lane]),
        ]
        return m
