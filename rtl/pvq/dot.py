"""The product of a pyramid vector with activations: pulses are added or subtracted, and one multiplication applies the scale.

``output = scale * sum_j pulse_j * value_j``, the sum taken as ``|pulse_j|`` additions of ``+- value_j`` (Liguori, arXiv:1704.02681).
Exact: the accumulator holds any sum of ``max_pulses`` activations, so nothing rounds or saturates.
"""

import numpy as np
import numpy.typing as npt
from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out


class PyramidDot(wiring.Component):
    """Takes rows of (activation, pulse) pairs, ``lanes`` pairs a beat, and gives one scaled sum a row.

    Timing
    ------
    Every lane adds or subtracts its activation once a cycle until its pulse is used up, so ``lanes`` pulses go a cycle and a beat takes
    ``max(1, largest |pulse| of its lanes)`` cycles (:meth:`cycles`), back to back, rows too. The output of a row is offered ``latency``
    cycles after the last cycle of its last beat; a beat's first cycle is the one after it is taken. While an output waits for ``o.ready``
    the whole unit stands still.

    Parameters
    ----------
    lanes : int
        Pairs a beat, pulses a cycle.
    activation_bits, pulse_bits : int
        Widths of the signed activation and pulse.
    scale_bits : int
        Width of the unsigned scale.
    max_pulses : int
        The most pulses in a row, K of the pyramid.

    Members
    -------
    i : ``In(stream.Signature({"pairs": [{"value", "pulse"}] * lanes, "scale", "last"}))``
        ``last`` with the last beat of a row, ``scale`` is read with it. Unused lanes have the pulse 0.
    o : ``Out(stream.Signature(signed(sum_bits + scale_bits)))``

    Raises
    ------
    ValueError
        If a parameter is outside its range.
    """

    latency = 4

    def __init__(
        self, *, lanes: int = 4, activation_bits: int = 16, pulse_bits: int = 8, scale_bits: int = 16, max_pulses: int = 4096
    ) -> None:
        if lanes < 1 or max_pulses < 1:
            raise ValueError(f"lanes and max_pulses must be at least 1, not {min(lanes, max_pulses)!r}")
        if min(activation_bits, pulse_bits) < 2 or scale_bits < 1:
            raise ValueError(f"widths must be at least 2 (scale 1), not {min(activation_bits, pulse_bits, scale_bits)!r}")
        self.lanes, self.max_pulses = lanes, max_pulses
        self.sum_bits = activation_bits + max_pulses.bit_length()
        pair = data.StructLayout({"value": signed(activation_bits), "pulse": signed(pulse_bits)})
        beat = {"pairs": data.ArrayLayout(pair, lanes), "scale": unsigned(scale_bits), "last": 1}
        super().__init__(
            {"i": In(stream.Signature(data.StructLayout(beat))), "o": Out(stream.Signature(signed(self.sum_bits + scale_bits)))}
        )

    @staticmethod
    def reference(pulses: npt.NDArray[np.int64], values: npt.NDArray[np.int64], scale: int) -> int:
        """Return the output for one row, by the formula."""
        return scale * sum(int(pulse) * int(value) for pulse, value in zip(pulses, values, strict=True))

    def cycles(self, pulses: npt.NDArray[np.int64]) -> int:
        """Return the cycles that one row of ``pulses`` [n] takes, n at least 1."""
        padded = np.pad(np.abs(pulses), (0, -len(pulses) % self.lanes))
        return int(np.maximum(1, padded.reshape(-1, self.lanes).max(axis=1)).sum())

    def elaborate(self, platform: object) -> Module:
        """Build the beat register, the adder tree, the accumulator and the multiplier, a register after each."""
        m = Module()
        beat = self.i.payload
        magnitude = unsigned(len(beat.pairs[0].pulse))
        held, last, scale = Signal(), Signal(), Signal.like(beat.scale)
        moves, finished = Signal(), Signal()
        terms, more = [], []
        for lane in range(self.lanes):
            pulse = beat.pairs[lane].pulse
            value, negative = Signal.like(beat.pairs[lane].value, name=f"value{lane}"), Signal(name=f"negative{lane}")
            left = Signal(magnitude, name=f"left{lane}")
            terms.append(Mux(left == 0, 0, Mux(negative, -value, value)))
            more.append(left > 1)
            with m.If(moves & (left != 0)):
                m.d.sync += left.eq(left - 1)
            with m.If(self.i.valid & self.i.ready):
                m.d.sync += [value.eq(beat.pairs[lane].value), negative.eq(pulse < 0), left.eq(Mux(pulse < 0, -pulse, pulse))]

        m.d.comb += [
            moves.eq(~self.o.valid | self.o.ready),
            finished.eq(~Cat(more).any()),
            self.i.ready.eq(~held | (moves & finished)),
        ]
        with m.If(self.i.ready):
            m.d.sync += [held.eq(self.i.valid), last.eq(beat.last), scale.eq(beat.scale)]

        tree = _tree(terms)  # 0 while no beat is held: every lane has used up its pulse
        stepped, step_last, step_scale = Signal(tree.shape()), Signal(), Signal.like(scale)
        total, fresh = Signal(signed(self.sum_bits)), Signal(init=1)
        sum_valid, sum_scale = Signal(), Signal.like(scale)
        product, product_valid = Signal.like(self.o.payload), Signal()
        with m.If(moves):
            m.d.sync += [
                stepped.eq(tree),
                step_last.eq(held & finished & last),
                step_scale.eq(scale),
                total.eq(stepped + Mux(fresh, 0, total)),
                fresh.eq(step_last),
                sum_valid.eq(step_last),
                sum_scale.eq(step_scale),
                product.eq(total * sum_scale),
                product_valid.eq(sum_valid),
                self.o.payload.eq(product),
                self.o.valid.eq(product_valid),
            ]
        return m


def _tree(terms: list[Signal]) -> Signal:
    """Return the sum of ``terms`` as a balanced tree of adders."""
    while len(terms) > 1:
        pairs = [one + other for one, other in zip(terms[::2], terms[1::2], strict=False)]
        terms = pairs + terms[2 * len(pairs) :]
    return terms[0]
