"""How a host reaches the accelerator of a package: AXI, a UART, or nothing between."""

from dataclasses import dataclass

from qsim.errors import QsimError
from rtl.axi import AxiAccelerator
from rtl.parameters import ArrayParameters
from rtl.serial import BITS, check_divisor
from rtl.top import Accelerator
from rtl.uart import UartAccelerator

KINDS = ("axi", "uart", "none")
CLOCKS_OF_AXI = 16  # an access takes less
FRAME = 10  # bytes of a request and its reply beside what they carry
STEPS = 64  # clocks of a request between the two, at most


@dataclass(frozen=True, slots=True)
class Bus:
    """A kind of :data:`KINDS`; ``divisor``: clocks a bit of a UART.

    Raises :class:`QsimError` for another kind, :class:`MachineError` for a divisor that no UART has.
    """

    kind: str = "axi"
    divisor: int = 104

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise QsimError(path="bus", rule="a bus of the accelerator", value=self.kind, legal=KINDS)
        check_divisor(self.divisor)

    @property
    def has_registers(self) -> bool:
        """Whether the host sees registers."""
        return self.kind != "none"

    def __str__(self) -> str:
        return f"uart of {self.divisor} clocks a bit" if self.kind == "uart" else self.kind

    def accelerator(self, parameters: ArrayParameters) -> object:
        """Return the component."""
        match self.kind:
            case "axi":
                return AxiAccelerator(parameters)
            case "uart":
                return UartAccelerator(parameters, self.divisor)
            case _:
                return Accelerator(parameters)

    def most_clocks(self, words: int) -> int:
        """Return clocks that reading or writing ``words`` of 32 bits in one request does not exceed."""
        match self.kind:
            case "axi":
                return CLOCKS_OF_AXI * words
            case "uart":
                return (BITS + 2) * self.divisor * (FRAME + 4 * (words + 1)) + STEPS * (words + 1)
            case _:
                return words
