"""The accelerator for small boards: two wires, and frames that reach its registers, its input and its logits.

A request is ``Q``, an operation, a length, as many bytes, and a check byte; the reply is ``R``, a status, a length, as many bytes, and a
check byte. The check byte is the CRC-8 (polynomial 0x07, start 0) of everything between the letter and it. Numbers are little-endian.

===========  =======================================  ========================================================
operation    bytes of the request                     bytes of the reply
===========  =======================================  ========================================================
READ         address (4)                              value (4), if OKAY
WRITE        address (4), words (4 each, 1 or more)   how many words were written (1): all go to the one address
INPUT        1 if the row is the last, else 0 (1);    none; FULL: the row before has not been taken yet
             a row of activations
OUTPUT       none                                     1 if the row is the last, else 0 (1), and a row of logits;
                                                      none if EMPTY: there is no row yet
===========  =======================================  ========================================================

Every request gets one reply, whatever was wrong with it; a new request begins when the reply is there. What is no frame (another letter,
a low stop bit, a pause of more than ``gap`` bits within) is answered with BROKEN when the line has been quiet for ``gap`` bits.
"""

from enum import IntEnum

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import enum, memory, wiring
from amaranth.lib.wiring import In, Out

from qsim.errors import MachineError
from rtl.host import HostedAccelerator
from rtl.parameters import ArrayParameters
from rtl.register import WORD_BITS, WORD_BYTES
from rtl.register_bank import Answer
from rtl.registers import beat_bytes
from rtl.serial import BITS, UartReceiver, UartTransmitter, check_divisor

GAP = 32  # bits
REQUEST, REPLY = ord("Q"), ord("R")
MOST_BYTES = 255


class Operation(IntEnum):
    """What a request asks for."""

    READ = 1
    WRITE = 2
    INPUT = 3
    OUTPUT = 4


class Status(enum.Enum, shape=8):
    """How a request ended. REFUSED, UNKNOWN: as on AXI, SLVERR and DECERR."""

    OKAY = 0
    CHECKSUM = 1
    OPERATION = 2
    LENGTH = 3
    REFUSED = 4
    UNKNOWN = 5
    FULL = 6
    EMPTY = 7
    BROKEN = 8


def crc8(check: int, byte: int) -> int:
    """Return the check byte of one more byte: the software's side."""
    check ^= byte
    for _ in range(BITS):
        check = (check << 1) ^ (0x107 if check & 0x80 else 0)
    return check


def _crc8(check: Value, byte: Value) -> Value:
    bits = list(check ^ byte)
    for _ in range(BITS):
        top = bits[-1]
        bits = [top, bits[0] ^ top, bits[1] ^ top, *bits[2:-1]]
    return Cat(*bits)


class UartAccelerator(wiring.Component):
    """An accelerator behind a UART.

    Timing
    ------
    A reply begins a few cycles (WRITE: about 8 a word) after the last bit of the request's check byte was sampled.

    Parameters
    ----------
    parameters : ArrayParameters
        With ``layers`` of at least 1.
    divisor : int
        Clocks a bit.

    Members
    -------
    rx : ``In(1)``
    tx : ``Out(1)``
    irq : ``Out(1)``

    Raises
    ------
    MachineError
        If a row of activations does not fit a frame, weights are streamed, or the divisor is too small.
    """

    def __init__(self, parameters: ArrayParameters, divisor: int) -> None:
        self.row_bytes = beat_bytes(parameters)
        if self.row_bytes >= MOST_BYTES:
            raise MachineError(path="parameters.row_width", rule=f"rows of less than {MOST_BYTES} bytes", value=self.row_bytes)
        if parameters.streamed:  # all weights would come anew for every input, over two wires
            raise MachineError(path="parameters.streamed", rule="false behind a UART", value=True)
        self.gap = GAP * check_divisor(divisor)
        self.host = HostedAccelerator(parameters)
        self.receiver, self.transmitter = UartReceiver(divisor), UartTransmitter(divisor)
        super().__init__({"rx": In(1), "tx": Out(1), "irq": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """Build what is kept of a frame, then the states."""
        m = Module()
        m.submodules.host, m.submodules.receiver, m.submodules.transmitter = self.host, self.receiver, self.transmitter
        self.operation, self.length, self.check = Signal(BITS), Signal(BITS), Signal(BITS)
        self.status, self.replied, self.at = Signal(Status), Signal(BITS), Signal(BITS)
        self.address, self.shift = Signal(WORD_BITS), Signal(max(WORD_BITS, BITS * (self.row_bytes + 1)))
        self.written, self.quiet = Signal(BITS), Signal(range(self.gap + 1))
        m.submodules.bytes = store = memory.Memory(shape=BITS, depth=MOST_BYTES + 1, init=[])
        self.write, self.read = store.write_port(), store.read_port()
        m.d.comb += [
            self.receiver.rx.eq(self.rx),
            self.tx.eq(self.transmitter.tx),
            self.irq.eq(self.host.irq),
            self.write.addr.eq(self.at),
            self.write.data.eq(self.receiver.data),
            self.read.addr.eq(self.at),
        ]
        receiver, given = self.receiver, self.host.input
        with m.If(receiver.busy | receiver.valid | receiver.broken):
            m.d.sync += self.quiet.eq(self.gap)
        with m.Elif(self.quiet != 0):
            m.d.sync += self.quiet.eq(self.quiet - 1)
        with m.If(given.ready | self.host.reset):
            m.d.sync += given.valid.eq(0)
        with m.FSM():
            self._receiving(m)
            self._deciding(m)
            self._accessing(m)
            self._rows(m)
            self._replying(m)
        return m

    def _reply(self, m: Module, status: object, length: object = 0) -> None:
        m.d.sync += [self.status.eq(status), self.replied.eq(length)]
        m.next = "REPLY"

    def _receiving(self, m: Module) -> None:
        """Take a frame; whatever is none is let pass until the line is quiet."""
        receiver, quiet, following = self.receiver, self.quiet, Signal(BITS)
        m.d.comb += following.eq(_crc8(self.check, receiver.data))

        def refuse(status: Status) -> None:
            m.d.sync += self.status.eq(status)
            m.next = "QUIET"

        with m.State("LETTER"):
            m.d.sync += [self.check.eq(0), self.at.eq(0), self.written.eq(0)]
            with m.If(receiver.broken | (receiver.valid & (receiver.data != REQUEST))):
                refuse(Status.BROKEN)
            with m.Elif(receiver.valid):
                m.next = "OPERATION"
        for state, target, after in (("OPERATION", self.operation, "LENGTH"), ("LENGTH", self.length, "BYTES")):
            with m.State(state):
                with m.If(receiver.valid):
                    m.d.sync += [target.eq(receiver.data), self.check.eq(following)]
                    m.next = after
                with m.Elif(receiver.broken | (quiet == 0)):
                    refuse(Status.BROKEN)
        with m.State("BYTES"):
            m.d.comb += self.write.en.eq(receiver.valid)
            with m.If(receiver.valid & (self.at == self.length)):
                m.d.sync += self.at.eq(0)
                m.next = "DECIDE"
                with m.If(receiver.data != self.check):
                    refuse(Status.CHECKSUM)
            with m.Elif(receiver.valid):
                m.d.sync += [self.at.eq(self.at + 1), self.check.eq(following)]
            with m.Elif(receiver.broken | (quiet == 0)):
                refuse(Status.BROKEN)
        with m.State("QUIET"), m.If(quiet == 0):
            m.d.sync += self.replied.eq(0)
            m.next = "REPLY"

    def _deciding(self, m: Module) -> None:
        """Look at operation and length."""
        length, words = self.length, 2 * WORD_BYTES
        with m.State("DECIDE"), m.Switch(self.operation):
            for operation, good, after in (
                (Operation.READ, length == WORD_BYTES, "FETCH"),
                (Operation.WRITE, (length >= words) & (length[:2] == 0), "FETCH"),
                (Operation.INPUT, length == 1 + self.row_bytes, "FETCH"),
                (Operation.OUTPUT, length == 0, "TAKE"),
            ):
                with m.Case(operation.value):
                    m.next = after
                    with m.If(~good):
                        self._reply(m, Status.LENGTH)
            with m.Default():
                self._reply(m, Status.OPERATION)
        # The bytes come from the memory one every other cycle, first to the low bits of what was shifted.
        with m.State("FETCH"):
            m.d.sync += self.at.eq(self.at + 1)
            m.next = "SHIFT"
        with m.State("SHIFT"):
            m.d.sync += self.shift.eq(Cat(self.shift[BITS:], self.read.data))
            m.next = "FETCH"
            with m.If(self.operation == Operation.INPUT.value), m.If(self.at == self.length):
                m.next = "GIVE"
            with m.Elif(self.at[:2] == 0):
                m.next = "ADDRESS"

    def _accessing(self, m: Module) -> None:
        """Make accesses of the register bus."""
        bus, word, answer = self.host.bus, self.shift[-WORD_BITS:], Signal(Status)
        known = self.address[len(bus.address) :] == 0
        m.d.comb += [
            bus.address.eq(self.address),
            bus.write.eq(self.operation == Operation.WRITE.value),
            bus.data.eq(word),
            bus.strobe.eq((1 << WORD_BYTES) - 1),
            answer.eq(Mux(bus.answer == Answer.REFUSED, Status.REFUSED, Status.UNKNOWN)),
        ]
        with m.State("ADDRESS"):
            m.next = "ACCESS"
            with m.If(self.at == WORD_BYTES):
                m.d.sync += self.address.eq(word)
                with m.If(bus.write):
                    m.next = "FETCH"
        with m.State("ACCESS"):
            m.d.comb += bus.valid.eq(known)
            with m.If(~known):
                self._refuse(m, Status.UNKNOWN)
            with m.Elif(bus.done):
                with m.If(bus.answer != Answer.OKAY):
                    self._refuse(m, answer)
                with m.Elif(~bus.write):
                    m.d.sync += self.shift.eq(bus.value)
                    self._reply(m, Status.OKAY, WORD_BYTES)
                with m.Else():
                    m.d.sync += self.written.eq(self.written + 1)
                    m.next = "FETCH"
                    with m.If(self.at == self.length):
                        m.d.sync += self.shift.eq(self.written + 1)
                        self._reply(m, Status.OKAY, 1)

    def _refuse(self, m: Module, status: object) -> None:
        """Reply that the access failed, and how many words were written before."""
        m.d.sync += self.shift.eq(self.written)
        self._reply(m, status, self.host.bus.write)

    def _rows(self, m: Module) -> None:
        """Hand a row on, when the one before was taken; take a row, if there is one."""
        host, row_bits = self.host, BITS * self.row_bytes
        given, taken = host.input, host.output
        bytes_of_row = self.shift[-(row_bits + BITS) :]
        with m.State("GIVE"):
            with m.If(given.valid):
                self._reply(m, Status.FULL)
            with m.Else():
                m.d.sync += [
                    given.valid.eq(1),
                    given.payload.last.eq(bytes_of_row[0]),
                    Value.cast(given.payload.values).eq(bytes_of_row[BITS:]),
                ]
                self._reply(m, Status.OKAY)
        with m.State("TAKE"):
            m.d.comb += taken.ready.eq(1)
            m.d.sync += self.shift.eq(Cat(taken.payload.last, Const(0, BITS - 1), taken.payload.values))
            with m.If(taken.valid):
                self._reply(m, Status.OKAY, 1 + self.row_bytes)
            with m.Else():
                self._reply(m, Status.EMPTY)

    def _replying(self, m: Module) -> None:
        """Send letter, status, length, bytes and check byte."""
        byte, sent = self.transmitter.i, Signal(range(5))
        left = Signal(BITS)
        with m.State("REPLY"):
            m.d.sync += [self.check.eq(0), sent.eq(0), left.eq(self.replied)]
            m.next = "SEND"
        with m.State("SEND"):
            with m.Switch(sent):
                for number, value in enumerate((REPLY, self.status, self.replied, self.shift[:BITS], self.check)):
                    with m.Case(number):
                        m.d.comb += byte.payload.eq(value)
            m.d.comb += byte.valid.eq(1)
            with m.If(byte.ready):
                with m.If(sent != 0):
                    m.d.sync += self.check.eq(_crc8(self.check, byte.payload))
                with m.If(sent == 3):
                    m.d.sync += [left.eq(left - 1), self.shift.eq(self.shift >> BITS)]
                with m.If((sent == 2) & (self.replied == 0)):
                    m.d.sync += sent.eq(4)
                with m.Elif((sent != 3) | (left == 1)):
                    m.d.sync += sent.eq(sent + 1)
                with m.If(sent == 4):
                    m.next = "LETTER"
