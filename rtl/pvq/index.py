"""From the number of a pyramid's point to its coordinates: the twin of :func:`qsim.formats.pvq.point_of`."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from qsim.formats.pvq import count_points, count_table, index_bits


class PyramidIndex(wiring.Component):
    """Takes indices of points of P(N, K) and gives their N coordinates, one after the other.

    Timing
    ------
    A step compares the rest of the index with one count, V(coordinates, pulses left), and either settles a coordinate or raises its
    magnitude by one: ``interval`` = N + K cycles a point, whatever the point. The next index is taken in the cycle of the last step. The
    coordinate settled in cycle ``c`` is offered in ``c + 1``; an index taken in ``c`` has its first step in ``c + 1``. While a coordinate
    waits for ``o.ready`` the unit stands still.

    An index of V(N, K) or more is no point: it gives no coordinates, ``error`` goes up and stays up until reset, and no further
    index is taken.

    Parameters
    ----------
    dimensions, pulses : int
        N and K of the pyramid. The table of counts has N * (K + 1) words of :func:`~qsim.formats.pvq.index_bits` + 1 bits.

    Members
    -------
    i : ``In(stream.Signature(unsigned(index_bits)))``
    o : ``Out(stream.Signature({"pulse", "last"}))``
        ``last`` with a point's last coordinate.
    error : ``Out(1)``

    Raises
    ------
    ValueError
        If the pyramid has a single point or none, or its index more than 64 bits.
    """

    latency = 2

    def __init__(self, dimensions: int, pulses: int) -> None:
        if dimensions < 1 or pulses < 1:
            raise ValueError(f"dimensions and pulses must be at least 1, not {min(dimensions, pulses)!r}")
        self.points = count_points(dimensions, pulses)
        self.index_bits = index_bits(dimensions, pulses)
        if self.index_bits > 64:
            raise ValueError(f"an index must have at most 64 bits, not {self.index_bits!r}")
        self.dimensions, self.pulses = dimensions, pulses
        self.interval = dimensions + pulses
        pulse = signed(pulses.bit_length() + 1)
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(self.index_bits))),
                "o": Out(stream.Signature(data.StructLayout({"pulse": pulse, "last": 1}))),
                "error": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the step; the count of the next step is read while this one is compared."""
        m = Module()
        width = self.pulses + 1
        counts = [count for row in count_table(self.dimensions, self.pulses) for count in row]
        m.submodules.counts = table = memory.Memory(shape=unsigned(max(counts).bit_length()), depth=len(counts), init=counts)
        read = table.read_port()

        held, rest = Signal(), Signal(self.index_bits)
        behind = Signal(range(self.dimensions))  # coordinates behind the one at hand
        size = Signal(range(width))
        place = Signal(range(len(counts)))  # of the count in the table: behind * width + pulses left
        next_place = Signal.like(place)
        top = len(counts) - 1
        one, more, moves, settles = Signal.like(read.data), Signal(unsigned(len(read.data) + 1)), Signal(), Signal()
        negative = Signal()
        m.d.comb += [
            one.eq(read.data),
            more.eq(Mux(size == 0, one, one << 1)),
            moves.eq(~self.o.valid | self.o.ready),
            settles.eq(held & (rest < more)),
            negative.eq(rest >= one),
            self.i.ready.eq(~self.error & (~held | (moves & settles & (behind == 0)))),
            next_place.eq(place),
            read.addr.eq(next_place),
        ]
        with m.If(held & moves):
            m.d.sync += place.eq(next_place)
            with m.If(settles):
                m.d.comb += next_place.eq(place - width)
                m.d.sync += [behind.eq(behind - 1), size.eq(0), rest.eq(rest - Mux(negative, one, 0))]
            with m.Else():
                m.d.comb += next_place.eq(place - 1)
                m.d.sync += [size.eq(size + 1), rest.eq(rest - more)]
        with m.If(moves):
            m.d.sync += [
                self.o.valid.eq(settles),
                self.o.payload.pulse.eq(Mux(negative, -size, size)),
                self.o.payload.last.eq(behind == 0),
            ]
        with m.If(self.i.ready):
            good = self.i.payload < self.points
            m.d.comb += next_place.eq(top)
            m.d.sync += [
                held.eq(self.i.valid & good),
                self.error.eq(self.i.valid & ~good),
                rest.eq(self.i.payload),
                behind.eq(self.dimensions - 1),
                size.eq(0),
                place.eq(top),
            ]
        return m
