"""The vocabulary of hardware actions that a simulation counts and a technology prices.

A simulation counts :class:`Access` objects; a technology gives each :class:`Action` a price for a stated width.
The set is closed: a technology that lacks one is refused when it is loaded, so that nothing is ever free by
omission.
"""

from dataclasses import dataclass
from enum import StrEnum

from qsim.errors import FieldError


class Action(StrEnum):
    """What hardware does that costs energy."""

    DRAM_READ = "dram_read"
    DRAM_WRITE = "dram_write"
    SRAM_READ = "sram_read"
    SRAM_WRITE = "sram_write"
    REGISTER_READ = "register_read"
    REGISTER_WRITE = "register_write"
    INT_ADD = "int_add"
    INT_MULTIPLY = "int_multiply"
    FLOAT_ADD = "float_add"
    FLOAT_MULTIPLY = "float_multiply"


SRAM_ACTIONS = frozenset({Action.SRAM_READ, Action.SRAM_WRITE})


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Access:
    """One kind of action at one place.

    Parameters: ``unit``, where it happens ("weights", "dram", "mac", ...); ``action``; ``width_bits``, bits moved or
    operand width of one action; ``capacity_bytes``, size of the memory for SRAM actions (energy depends on it), else 0.
    """

    unit: str
    action: Action
    width_bits: int
    capacity_bytes: int = 0

    def __post_init__(self) -> None:
        if self.width_bits < 1:
            raise FieldError(path="access.width_bits", rule="at least 1", value=self.width_bits)
        if (self.capacity_bytes > 0) != (self.action in SRAM_ACTIONS):
            raise FieldError(
                path="access.capacity_bytes",
                rule="positive for SRAM actions and 0 for all others",
                value=self.capacity_bytes,
            )
