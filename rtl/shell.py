"""The scan shell: an array has more ports than an FPGA has pins, so for synthesis two shift registers stand around it."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

PINS = 4  # clock, reset, data in, data out


class ScanShell(wiring.Component):
    """A component with one data pin in and one out: with clock and reset four pins.

    Inputs come from a shift register; outputs are folded into a signature register (each bit is XORed with its neighbour), so that no
    output can be optimised away.

    Parameters
    ----------
    component : wiring.Component
    name : str
        Of the component in the shell.
    open_members : tuple of str
        Members that are not connected: inputs are 0, and what only they lead to is not built.

    Members
    -------
    scan_in : ``In(1)``
    scan_out : ``Out(1)``

    Attributes
    ----------
    registers
        Flip-flops of the shell, which are counted with the design.
    """

    def __init__(self, component: wiring.Component, name: str, open_members: tuple[str, ...] = ()) -> None:
        self.component = component
        self.name = name
        ports = [(member.flow, value) for path, member, value in component.signature.flatten(component) if path[0] not in open_members]
        self.inputs = Cat(value for flow, value in ports if flow == In)
        self.outputs = Cat(value for flow, value in ports if flow == Out)
        self.registers = len(self.inputs) + len(self.outputs)
        super().__init__({"scan_in": In(1), "scan_out": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """Build the two registers."""
        m = Module()
        m.submodules[self.name] = self.component
        shell_inputs, shell_outputs = Signal(len(self.inputs), reset_less=True), Signal(len(self.outputs), reset_less=True)
        m.d.sync += [
            shell_inputs.eq(Cat(self.scan_in, shell_inputs)),
            shell_outputs.eq(Cat(shell_outputs[-1], shell_outputs[:-1]) ^ self.outputs),
        ]
        m.d.comb += [self.inputs.eq(shell_inputs), self.scan_out.eq(shell_outputs[-1])]
        return m
