"""What a register is: fields, access, repetition; and a map of them, valid when constructed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from qsim.errors import MachineError

WORD_BITS = 32
WORD_BYTES = WORD_BITS // 8


class Access(StrEnum):
    """What the host may do with a field, in the words of SystemRDL's ``sw`` and ``onwrite``.

    CONSTANT: reads its reset value, which tells what was built. READ: what the hardware says now. READ_WRITE: kept, reads what was
    written. WRITE: goes to the hardware, reading the register is refused. PULSE: writing 1 does it once; reads 0. CLEAR: set by the
    hardware, cleared by writing 1. Writes to CONSTANT and READ fields beside others do nothing; a register of nothing else refuses them.
    """

    CONSTANT = "constant"
    READ = "r"
    READ_WRITE = "rw"
    WRITE = "w"
    PULSE = "pulse"
    CLEAR = "w1c"


@dataclass(frozen=True, slots=True)
class Field:
    """Bits ``low`` to ``low + width - 1`` of a register; ``values``: name and number of what they may say."""

    name: str
    low: int
    width: int
    access: Access
    description: str
    reset: int = 0
    values: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        path = f"field {self.name}"
        if self.width < 1 or self.low < 0 or self.low + self.width > WORD_BITS:
            raise MachineError(path=path, rule=f"within {WORD_BITS} bits", value=(self.low, self.width))
        if not 0 <= self.reset < 1 << self.width:
            raise MachineError(path=f"{path}.reset", rule=f"of {self.width} bits", value=self.reset)

    @property
    def high(self) -> int:
        """The highest bit."""
        return self.low + self.width - 1

    @property
    def mask(self) -> int:
        """The field's bits in the register."""
        return ((1 << self.width) - 1) << self.low

    @property
    def readable(self) -> bool:
        """Whether a read says anything."""
        return self.access is not Access.WRITE

    @property
    def writable(self) -> bool:
        """Whether a write does anything."""
        return self.access not in (Access.CONSTANT, Access.READ)


@dataclass(frozen=True, slots=True)
class Dimension:
    """A register stands ``count`` times, each ``stride`` bytes behind the one before; ``name`` says what is counted."""

    name: str
    count: int
    stride: int


@dataclass(frozen=True, slots=True)
class Register:
    """32 bits at byte ``offset``, or an array of them: element ``i, j`` is at ``offset + i * dimensions[0].stride + ...``."""

    name: str
    offset: int
    description: str
    fields: tuple[Field, ...]
    dimensions: tuple[Dimension, ...] = field(default=())

    def __post_init__(self) -> None:
        path = f"register {self.name}"
        if self.offset % WORD_BYTES or self.offset < 0:
            raise MachineError(path=f"{path}.offset", rule=f"a multiple of {WORD_BYTES}", value=self.offset)
        if sum(each.mask for each in self.fields) != self.mask or not self.fields:
            raise MachineError(path=f"{path}.fields", rule="at least one, without overlap", value=[each.name for each in self.fields])
        if len({each.name for each in self.fields}) != len(self.fields):
            raise MachineError(path=f"{path}.fields", rule="of different names", value=[each.name for each in self.fields])

    @property
    def mask(self) -> int:
        """The bits that belong to a field."""
        mask = 0
        for each in self.fields:
            mask |= each.mask
        return mask

    @property
    def reset(self) -> int:
        """The value after reset."""
        return sum(each.reset << each.low for each in self.fields)

    @property
    def readable(self) -> bool:
        """Whether a read is answered with OKAY."""
        return any(each.readable for each in self.fields)

    @property
    def writable(self) -> bool:
        """Whether a write is answered with OKAY."""
        return any(each.writable for each in self.fields)

    def offsets(self) -> tuple[int, ...]:
        """The offset of every element, the last dimension running fastest."""
        found = (self.offset,)
        for each in self.dimensions:
            found = tuple(start + each.stride * number for start in found for number in range(each.count))
        return found

    def element(self, *indices: int) -> int:
        """The offset of one element."""
        return self.offset + sum(number * each.stride for number, each in zip(indices, self.dimensions, strict=True))


@dataclass(frozen=True, slots=True)
class RegisterMap:
    """Registers in the order of their offsets, none on another."""

    name: str
    description: str
    registers: tuple[Register, ...]

    def __post_init__(self) -> None:
        taken: dict[int, str] = {}
        for register in self.registers:
            for offset in register.offsets():
                if offset in taken:
                    raise MachineError(path=f"register {register.name}", rule=f"not at the offset of {taken[offset]}", value=offset)
                taken[offset] = register.name
        names = [register.name for register in self.registers]
        if len(set(names)) != len(names):
            raise MachineError(path=self.name, rule="registers of different names", value=names)

    def __iter__(self) -> Iterator[Register]:
        return iter(self.registers)

    def __getitem__(self, name: str) -> Register:
        for register in self.registers:
            if register.name == name:
                return register
        raise MachineError(path="register", rule="one of the map", value=name, legal=[register.name for register in self.registers])

    @property
    def address_bits(self) -> int:
        """Bits of a byte address that reaches every register."""
        return max(max(register.offsets()) for register in self.registers).bit_length()
