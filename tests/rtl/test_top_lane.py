# amaranth: UnusedElaboratable=no
"""Asks whether the drain lane is exact for every sum there is: a narrow lane, all of its sums, limits at and beside every output."""

from fractions import Fraction
from itertools import product
from math import floor
from typing import Any

import pytest

from qsim.formats.fixed import FixedFormat, Rounding
from rtl.drain import DrainLane
from rtl.load import Unit
from rtl.parameters import ArrayParameters
from tests.rtl.simulated import simulate

ROWS, MOST = 16, 7
P = ArrayParameters(pes=1, activation_bits=4, accumulator_bits=8, bias_bits=4, local_rows=ROWS, columns=4, weight_rows=4)
# To the right by nothing, little and more than a whole window; to the left. Bias shifts with each.
SHIFTS = [(0, 0), (1, 0), (2, 3), (4, 1), (5, 2), (-1, 0), (-3, 1), (17, 14)]


def output(total: int, shift: int, relu: bool, limit: int, rounding: Rounding) -> int:
    """The definition in fractions: round, saturate to 4 bits, ReLU, limit."""
    exact = Fraction(total) / Fraction(2) ** shift
    value = floor(exact + Fraction(1, 2)) if rounding is Rounding.HALF_UP else floor(exact)
    value = max(-MOST - 1, min(MOST, value))
    return min(limit, max(0, value) if relu else value)


@pytest.mark.parametrize("rounding", Rounding)
def test_every_sum(rounding: Rounding) -> None:
    dut = DrainLane(P, FixedFormat(4, 0, rounding=rounding), 0)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.load.valid, 1)
        for row in range(ROWS):
            ctx.set(dut.load.word, {"unit": Unit.BIAS, "pe": 0, "address": row, "data": row})
            await ctx.tick()
        ctx.set(dut.load.valid, 0)
        await ctx.tick()
        for (shift, bias_shift), (relu, limit) in product(SHIFTS, [(False, MOST), (True, MOST), (True, 5), (False, 2), (True, 0)]):
            layer = {"bias_shift": bias_shift, "left": max(0, -shift), "right": max(0, shift), "relu": int(relu), "limit": limit}
            ctx.set(dut.layer, layer)
            sums = list(range(-128, 128))
            rows = [(5 * at) % ROWS for at in range(len(sums))]
            for moment in range(len(sums) + dut.latency + 1):
                if moment >= dut.latency and moment - dut.latency < len(sums):
                    at = moment - dut.latency
                    total = sums[at] + ((rows[at] + 8) % 16 - 8 << bias_shift)
                    assert ctx.get(dut.output) == output(total, shift, relu, limit, rounding), (total, shift, relu, limit)
                ctx.set(dut.row, rows[moment % len(rows)])
                ctx.set(dut.sum, sums[(moment - dut.sum_delay) % len(sums)])
                await ctx.tick()

    simulate(dut, bench)
