"""Multiply-accumulate into a memory of running sums, saturating at every addition."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.near import near
from rtl.parameters import ArrayParameters
from rtl.pe.entries import product_layout
from rtl.shapes import saturated


def term_layout(parameters: ArrayParameters) -> data.StructLayout:
    """Return the layout of a product that is already there: an activation, its negative or 0, as ``term``, for ``local_row``."""
    return data.StructLayout({"term": signed(parameters.activation_bits + 1), "local_row": parameters.local_row})


def factor_layout(parameters: ArrayParameters) -> data.StructLayout:
    """Return the layout of two factors: the ``weight``, and in its ``tag`` the activation and the local row."""
    return data.StructLayout({"weight": parameters.weight, "tag": product_layout(parameters)})


@dataclass(frozen=True, slots=True)
class Place:
    """Where a product goes: ``row``, if it is ``valid``."""

    valid: Signal
    row: Signal


class Accumulator(wiring.Component):
    """Adds ``weight * activation``, or without a multiplier a ``term``, to the sum of ``local_row``; any sequence of rows, one a cycle.

    A sum that is still in the pipeline is forwarded, from one, two or three products before.

    Timing
    ------
    A product taken in cycle ``c`` is written in ``c + latency``: multiply and read, product and sum registers, add and saturate, write.
    ``drain``: the sum of the row asked for in cycle ``k`` is on ``sum`` in ``k + drain_latency``; the row is set to zero for the next
    layer. No product may be under way then.

    Parameters
    ----------
    parameters : ArrayParameters
    multiplies : bool
        Whether there is a multiplier.

    Members
    -------
    i : ``In(stream.Signature(factor_layout(parameters) or term_layout(parameters), always_ready=True))``
    drain : ``In(1)``
        Read and clear ``drain_row``.
    drain_row : ``In(parameters.local_row)``
    sum : ``Out(parameters.accumulator)``

    Attributes
    ----------
    saturates : Signal(2)
        A sum becomes the largest, the least. To observe, as the next: not ports, so that nothing of them is in a netlist that does not ask.
    forwards : Signal(3)
        A sum is taken from one, two, three products before instead of from the memory.
    """

    latency = 3
    drain_latency = 2

    def __init__(self, parameters: ArrayParameters, *, multiplies: bool = True) -> None:
        self.parameters = parameters
        self.multiplies = multiplies
        self.saturates, self.forwards = Signal(2), Signal(3)
        factor = factor_layout(parameters) if multiplies else term_layout(parameters)
        super().__init__(
            {
                "i": In(stream.Signature(factor, always_ready=True)),
                "drain": In(1),
                "drain_row": In(parameters.local_row),
                "sum": Out(parameters.accumulator),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the pipeline: ``read`` (behind the memory), ``add``, ``written``."""
        m = Module()
        p = self.parameters
        m.submodules.sums = sums = memory.Memory(shape=p.accumulator, depth=p.local_rows, init=[])
        write, read_port = sums.write_port(), sums.read_port()
        factor = self.i.payload
        row = factor.tag.local_row if self.multiplies else factor.local_row
        result = factor.weight * factor.tag.activation if self.multiplies else factor.term

        taken = Place(self.i.valid, row)
        read, add, written = (Place(Signal(), Signal(p.local_row, reset_less=True)) for _ in range(3))
        for after, before in ((read, taken), (add, read), (written, add)):
            m.d.sync += [after.valid.eq(before.valid), after.row.eq(before.row)]
        product, product_add = (Signal(result.shape(), reset_less=True) for _ in range(2))
        m.d.sync += [product.eq(result), product_add.eq(product)]

        held, sum_written, sum_past = (Signal(p.accumulator, reset_less=True) for _ in range(3))
        base = Signal(p.accumulator)
        # Rows are compared a cycle ahead: the loop from a sum to the next one holds a choice, the addition and the saturation.
        one_before, two_before, three_before = Signal(), Signal(), Signal()
        m.d.comb += base.eq(Mux(one_before, sum_written, held))
        m.d.sync += [
            one_before.eq(_same(read, add)),
            two_before.eq(_same(taken, add)),
            three_before.eq(_same(taken, written)),
            held.eq(Mux(two_before, sum_written, Mux(three_before, sum_past, read_port.data))),
            sum_written.eq(saturated(base + product_add, p.accumulator_bits)),
            sum_past.eq(sum_written),
        ]

        exact, highest = base + product_add, (1 << (p.accumulator_bits - 1)) - 1
        m.d.comb += [
            self.saturates.eq(Cat(add.valid & (exact > highest), add.valid & (exact < ~highest))),
            self.forwards.eq(Cat(add.valid & one_before, read.valid & two_before, read.valid & three_before & ~two_before)),
        ]

        clear = Place(near(m, self.drain, reset_less=False), near(m, self.drain_row))
        m.d.comb += [
            read_port.en.eq(self.i.valid | self.drain),
            read_port.addr.eq(Mux(self.drain, self.drain_row, row)),
            write.en.eq(written.valid | clear.valid),
            write.addr.eq(Mux(clear.valid, clear.row, written.row)),
            write.data.eq(Mux(clear.valid, 0, sum_written)),
            self.sum.eq(held),
        ]
        return m


def _same(later: Place, earlier: Place) -> object:
    """Whether a product ``earlier`` in the pipeline changes the row that ``later`` reads."""
    return later.valid & earlier.valid & (later.row == earlier.row)
