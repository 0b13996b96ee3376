"""The decode of a register map: an internal bus on one side, the fields as ports on the other."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from rtl.register import WORD_BITS, WORD_BYTES, Access, Field, Register, RegisterMap


class Answer(enum.Enum, shape=2):
    """How an access ended, as AXI says it. REFUSED (SLVERR): nothing was changed. UNKNOWN (DECERR): there is no such register."""

    OKAY = 0
    REFUSED = 2
    UNKNOWN = 3


class RegisterBus(wiring.Signature):
    """One access at a time: ``valid`` and what belongs to it stay until the cycle in which ``done`` is high, with ``value`` and ``answer``.

    ``strobe``: which bytes of ``data`` are written.
    """

    def __init__(self, address_bits: int) -> None:
        super().__init__(
            {
                "valid": Out(1),
                "write": Out(1),
                "address": Out(address_bits),
                "data": Out(WORD_BITS),
                "strobe": Out(WORD_BYTES),
                "done": In(1),
                "value": In(WORD_BITS),
                "answer": In(Answer),
            }
        )


def port_name(register: Register, field: Field) -> str:
    """Return the name of a field's port."""
    return f"{register.name}_{field.name}".lower()


class RegisterBank(wiring.Component):
    """Decodes and keeps the registers of a map; those with dimensions are words of a memory outside, read over ``window``.

    Timing
    ------
    A write takes effect, and ``read`` stands for, the first cycle of an access; ``done`` in the second. A read of the window begins when
    ``wait`` is low.

    Parameters
    ----------
    registers : RegisterMap
        All dimensioned registers lie behind the others, in blocks whose length is a power of two, a word beside the other.

    Members
    -------
    bus : ``In(RegisterBus(registers.address_bits))``
    clear : ``In(1)``
        Back to the reset values.
    window : ``Out({"en", "block", "word", "wait", "value"})``
        Reads ``word`` of ``block``; the value is there in the cycle after ``en``.
    <register>_<field>
        READ: ``In``. PULSE, WRITE: ``Out``, valid with ``<register>_written``. READ_WRITE: ``Out({"value", "update", "next"})``, where
        ``update`` takes ``next``. CLEAR: ``Out({"value", "set"})``.
    <register>_written : ``Out(1)``
        The register is being written.
    <register>_refused : ``In(1)``
        For registers with PULSE and WRITE fields: what is on the bus may not be written now.
    """

    def __init__(self, registers: RegisterMap) -> None:
        self.registers = registers
        self.plain = [register for register in registers if not register.dimensions]
        blocks = [register for register in registers if register.dimensions]
        self.base = min(register.offset for register in blocks)
        self.blocks, self.stride = blocks[0].dimensions[0].count, blocks[0].dimensions[0].stride
        self.words = len({offset % self.stride for register in blocks for offset in register.offsets()})
        self.word_bits = (self.stride // WORD_BYTES - 1).bit_length()
        members: dict[str, wiring.Member] = {}
        for register in self.plain:
            for field in register.fields:
                members |= _ports(register, field)
            if register.writable:
                members[f"{register.name}_written".lower()] = Out(1)
            if _may_refuse(register):
                members[f"{register.name}_refused".lower()] = In(1)
        window = {
            "en": Out(1),
            "block": Out(range(self.blocks)),
            "word": Out(self.word_bits),
            "wait": In(1),
            "value": In(WORD_BITS),
        }
        super().__init__(
            {"bus": In(RegisterBus(registers.address_bits)), "clear": In(1), "window": Out(wiring.Signature(window)), **members}
        )

    def elaborate(self, platform: object) -> Module:
        """Select by address, then answer."""
        m = Module()
        bus, answering, from_window = self.bus, Signal(), Signal()
        access = Signal()
        value, answer = Signal(WORD_BITS), Signal(Answer)
        hits = {register.name: Signal(name=f"hits_{register.name.lower()}") for register in self.plain}
        for register in self.plain:
            m.d.comb += hits[register.name].eq(bus.address[2:] == register.offset >> 2)
        in_window = self._window(m)
        m.d.comb += [
            access.eq(bus.valid & ~answering & ~(in_window & self.window.wait)),
            self.window.en.eq(access & in_window),
            bus.done.eq(answering),
            bus.value.eq(Mux(from_window, self.window.value, value)),
            bus.answer.eq(answer),
        ]
        values = [self._register(m, register, hits[register.name] & access & bus.write) for register in self.plain]
        read = [Mux(hits[register.name], given, 0) for register, given in zip(self.plain, values, strict=True)]
        m.d.sync += answering.eq(access)
        with m.If(access):
            m.d.sync += [
                value.eq(Mux(bus.write, 0, reduce(or_, read))),
                from_window.eq(in_window & ~bus.write),
                answer.eq(self._answer(hits, in_window)),
            ]
        return m

    def _window(self, m: Module) -> Signal:
        """Drive the window's address; return whether the address is one of it."""
        address, found = self.bus.address - self.base, Signal()
        word, block = address[2 : 2 + self.word_bits], address[2 + self.word_bits :]
        inside = (self.bus.address >= self.base) & (word < self.words) & (block[:-1] < self.blocks)
        m.d.comb += [found.eq(inside), self.window.block.eq(block), self.window.word.eq(word)]
        return found

    def _answer(self, hits: dict[str, Signal], in_window: Signal) -> Value:
        write, cases = self.bus.write, []
        for register in self.plain:
            good = Mux(write, int(register.writable), int(register.readable))
            if _may_refuse(register):
                good = good & ~(write & getattr(self, f"{register.name}_refused".lower()))
            cases.append(hits[register.name] & good)
        known = Cat(*hits.values()).any() | in_window
        okay = Cat(*cases).any() | (in_window & ~write)
        return Mux(okay, Answer.OKAY, Mux(known, Answer.REFUSED, Answer.UNKNOWN))

    def _register(self, m: Module, register: Register, written: Value) -> Value:
        """Drive and keep the fields of a register; return what a read of it says."""
        bits: list[Value] = [Value.cast(0)] * WORD_BITS
        strobe = Cat(bit.replicate(8) for bit in self.bus.strobe)
        if register.writable:
            refused = getattr(self, f"{register.name}_refused".lower()) if _may_refuse(register) else 0
            taken = Signal(name=f"takes_{register.name.lower()}")
            m.d.comb += [taken.eq(written & ~refused), getattr(self, f"{register.name}_written".lower()).eq(taken)]
        for field in register.fields:
            place = slice(field.low, field.high + 1)
            given, mask = self.bus.data[place], strobe[place]
            now: Value = Value.cast(field.reset)
            if field.access is Access.READ:
                now = getattr(self, port_name(register, field))
            elif field.access in (Access.PULSE, Access.WRITE):
                ungated = given & mask
                m.d.comb += getattr(self, port_name(register, field)).eq(
                    Mux(taken, ungated, 0) if field.access is Access.PULSE else ungated
                )
            elif field.access in (Access.READ_WRITE, Access.CLEAR):
                now = self._kept(m, getattr(self, port_name(register, field)), field, taken, given, mask)
            bits[place] = [(now >> at)[0] for at in range(field.width)]
        return Cat(*bits)

    def _kept(self, m: Module, port: wiring.PureInterface, field: Field, taken: Value, given: Value, mask: Value) -> Signal:
        kept = Signal(field.width, init=field.reset, name=f"kept_{field.name}")
        m.d.comb += port.value.eq(kept)
        if field.access is Access.CLEAR:
            m.d.sync += kept.eq((kept & ~Mux(taken, given & mask, 0)) | port.set)
        else:
            with m.If(taken):
                m.d.sync += kept.eq((kept & ~mask) | (given & mask))
            with m.Elif(port.update):
                m.d.sync += kept.eq(port.next)
        with m.If(self.clear):
            m.d.sync += kept.eq(field.reset)
        return kept


def _may_refuse(register: Register) -> bool:
    return any(field.access in (Access.PULSE, Access.WRITE) for field in register.fields)


def _ports(register: Register, field: Field) -> dict[str, wiring.Member]:
    name, width = port_name(register, field), field.width
    match field.access:
        case Access.CONSTANT:
            return {}
        case Access.READ:
            return {name: In(width)}
        case Access.PULSE | Access.WRITE:
            return {name: Out(width)}
        case Access.READ_WRITE:
            return {name: Out(wiring.Signature({"value": Out(width), "update": In(1), "next": In(width)}))}
        case Access.CLEAR:
            return {name: Out(wiring.Signature({"value": Out(width), "set": In(width)}))}
