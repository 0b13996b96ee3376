"""Registers of one's own: copies of what goes to all PEs, so that no net has to reach over the whole chip within a cycle."""

from amaranth.hdl import Module, Signal, ValueLike
from amaranth.lib import data


def near(m: Module, value: ValueLike, *, reset_less: bool = True) -> Signal | data.View:
    """Return ``value`` a cycle later, from a register that synthesis does not merge with others of the same content."""
    register = Signal(value.shape(), name="near", reset_less=reset_less, attrs={"keep": 1})
    m.d.sync += register.eq(value)
    return register
