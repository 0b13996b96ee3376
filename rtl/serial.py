"""Bytes over two wires: 8 bits, no parity, one stop bit."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from qsim.errors import MachineError

BITS = 8


def check_divisor(divisor: int) -> int:
    """Return ``divisor``; raise :class:`MachineError` if a bit is too short to find its middle."""
    if not 4 <= divisor < 1 << 20:
        raise MachineError(path="divisor", rule="4 to 1048575 clocks a bit", value=divisor)
    return divisor


class UartReceiver(wiring.Component):
    """Reads bytes; each bit in its middle.

    A start bit that is over before its middle is none. After a byte whose stop bit is low it waits until the line is high.

    Timing
    ------
    ``valid`` or ``broken`` for one cycle, in the middle of the stop bit, 2 cycles late for the two registers behind the pin.

    Parameters
    ----------
    divisor : int
        Clocks a bit.

    Members
    -------
    rx : ``In(1)``
    data : ``Out(8)``
    valid : ``Out(1)``
    broken : ``Out(1)``
        The stop bit was low.
    busy : ``Out(1)``
        A byte is on its way.
    """

    def __init__(self, divisor: int) -> None:
        self.divisor = check_divisor(divisor)
        super().__init__({"rx": In(1), "data": Out(BITS), "valid": Out(1), "broken": Out(1), "busy": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """Count clocks and bits."""
        m = Module()
        first, line = Signal(init=1), Signal(init=1)
        clocks, bits, tick = Signal(range(self.divisor)), Signal(range(BITS)), Signal()
        m.d.sync += [first.eq(self.rx), line.eq(first), clocks.eq(Mux(tick, self.divisor - 1, clocks - 1))]
        m.d.comb += tick.eq(clocks == 0)
        with m.FSM():
            with m.State("IDLE"), m.If(~line):
                m.d.sync += clocks.eq(self.divisor // 2 - 1)
                m.next = "START"
            with m.State("START"), m.If(tick):
                m.d.sync += bits.eq(BITS - 1)
                m.next = "IDLE"
                with m.If(~line):
                    m.next = "DATA"
            with m.State("DATA"):
                m.d.comb += self.busy.eq(1)
                with m.If(tick):
                    m.d.sync += [self.data.eq(Cat(self.data[1:], line)), bits.eq(bits - 1)]
                    with m.If(bits == 0):
                        m.next = "STOP"
            with m.State("STOP"):
                m.d.comb += self.busy.eq(1)
                with m.If(tick):
                    m.d.comb += [self.valid.eq(line), self.broken.eq(~line)]
                    m.next = "IDLE"  # at once: half a stop bit is left, or less
                    with m.If(~line):
                        m.next = "RELEASE"
            with m.State("RELEASE"), m.If(line):
                m.next = "IDLE"
        return m


class UartTransmitter(wiring.Component):
    """Sends bytes.

    Timing
    ------
    A byte takes ``10 * divisor`` cycles; the next one is taken right behind it.

    Parameters
    ----------
    divisor : int
        Clocks a bit.

    Members
    -------
    i : ``In(stream.Signature(8))``
    tx : ``Out(1)``
    """

    def __init__(self, divisor: int) -> None:
        self.divisor = check_divisor(divisor)
        super().__init__({"i": In(stream.Signature(BITS)), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        """Shift out start bit, byte and stop bit."""
        m = Module()
        clocks, bits, shift = Signal(range(self.divisor)), Signal(range(BITS + 3)), Signal(BITS + 1)
        last = (bits <= 1) & (clocks == 0)
        m.d.comb += self.i.ready.eq(last)
        with m.If(clocks != 0):
            m.d.sync += clocks.eq(clocks - 1)
        with m.Elif(bits > 1):
            m.d.sync += [self.tx.eq(shift[0]), shift.eq(Cat(shift[1:], 1)), bits.eq(bits - 1), clocks.eq(self.divisor - 1)]
        with m.Elif(self.i.valid):
            m.d.sync += [self.tx.eq(0), shift.eq(Cat(self.i.payload, 1)), bits.eq(BITS + 2), clocks.eq(self.divisor - 1)]
        with m.Else():
            m.d.sync += bits.eq(0)
        return m
