"""The load window: words of the load bus from 32-bit writes, and none that lies outside its memory."""

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from qsim.arch.architecture import PEKind
from rtl.load import LoadSignature, Unit, load_layout
from rtl.parameters import ArrayParameters
from rtl.places import ActivationPlaces
from rtl.register import WORD_BITS, WORD_BYTES
from rtl.registers import data_parts


def unit_depths(parameters: ArrayParameters) -> dict[Unit, int]:
    """Return how many addresses each unit has that the host may load, those that the machine has not left out."""
    p = parameters
    depths = {
        Unit.LAYER: 1,
        Unit.ACTIVATIONS: ActivationPlaces.of(p).addresses,
        Unit.BIAS: p.local_rows,
        Unit.WEIGHTS: p.weight_rows,
        Unit.DESCRIPTOR: p.layers,
    }
    if p.has_gaps:
        depths[Unit.POINTERS] = p.pointer_pairs
    if p.kind is PEKind.PVQ:
        depths[Unit.SCALE] = p.local_rows
    if p.has_codebook:
        depths |= {Unit.CODEBOOK: 1 << p.code_bits, Unit.TABLE: p.layers << p.code_bits}
    return depths


class LoadWindow(wiring.Component):
    """Collects ``parts`` parts of 32 bits to the data of a word.

    Timing
    ------
    The word is on ``load`` in the cycle after its last part.

    Members
    -------
    unit, parts, pe, address : ``In``
        Where to; the last is counted up by ``step``.
    restart : ``In(1)``
        The next part is a word's first.
    written : ``In(1)``
        ``data`` is the next part. Only while not ``refused``.
    data, strobe : ``In``
    ready : ``In(1)``
        The accelerator may be loaded.
    refused : ``Out(1)``
        What ``data`` would become part of may not be written.
    step : ``Out(1)``
        A word is complete.
    load : ``Out(LoadSignature(parameters))``
    """

    def __init__(self, parameters: ArrayParameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                "unit": In(4),
                "parts": In(8),
                "pe": In(16),
                "address": In(WORD_BITS),
                "restart": In(1),
                "written": In(1),
                "data": In(WORD_BITS),
                "strobe": In(WORD_BYTES),
                "ready": In(1),
                "refused": Out(1),
                "step": Out(1),
                "load": Out(LoadSignature(parameters)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Compare with the unit's depth, keep the parts."""
        m = Module()
        p, most = self.parameters, data_parts(self.parameters)
        depths = unit_depths(p)
        depth = Signal(range(max(depths.values()) + 1))
        with m.Switch(self.unit):
            for unit, addresses in depths.items():
                with m.Case(unit.value):
                    m.d.comb += depth.eq(addresses)
        fits = (self.address < depth) & (self.pe < p.pes) & (self.parts != 0) & (self.parts <= most)
        m.d.comb += self.refused.eq(~(fits & self.ready & self.strobe.all()))

        part, kept = Signal(range(most)), [Signal(WORD_BITS, name=f"part{number}") for number in range(most)]
        is_last = part == self.parts - 1
        m.d.comb += self.step.eq(self.written & is_last)
        m.d.sync += self.load.valid.eq(self.step)
        with m.If(self.written):
            m.d.sync += part.eq(Mux(is_last, 0, part + 1))
            for number, each in enumerate(kept):
                with m.If(part == number):
                    m.d.sync += each.eq(self.data)
        with m.If(self.restart):
            m.d.sync += part.eq(0)
            m.d.sync += [each.eq(0) for each in kept]
        word, width = self.load.word, Shape.cast(load_layout(p)["data"].shape).width
        with m.If(self.step):
            m.d.sync += [Value.cast(word.unit).eq(self.unit), word.pe.eq(self.pe), word.address.eq(self.address)]
        m.d.comb += word.data.eq(Cat(*kept)[:width])
        return m
