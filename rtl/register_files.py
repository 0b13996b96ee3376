"""The table of registers as files: for people (Markdown), for tools (SystemRDL) and for drivers (a C header)."""

from collections.abc import Sequence
from dataclasses import dataclass

from rtl.register import WORD_BYTES, Access, Dimension, Field, Register, RegisterMap
from rtl.templates import render

RDL_ACCESS = {
    Access.CONSTANT: "sw = r; hw = na;",
    Access.READ: "sw = r; hw = w;",
    Access.READ_WRITE: "sw = rw; hw = r;",
    Access.WRITE: "sw = w; hw = r;",
    Access.PULSE: "sw = rw; hw = r; singlepulse;",
    Access.CLEAR: "sw = rw; hw = w; onwrite = woclr;",
}
ACCESS_TEXTS = {
    Access.CONSTANT: "r, constant",
    Access.READ: "r",
    Access.READ_WRITE: "rw",
    Access.WRITE: "w",
    Access.PULSE: "w1, does it once; reads 0",
    Access.CLEAR: "r, w1 clears",
}


@dataclass(frozen=True, slots=True)
class Block:
    """Registers that stand together ``outer.count`` times; None: that stand once."""

    outer: Dimension | None
    registers: tuple[Register, ...]

    @property
    def offset(self) -> int:
        """Where the first one begins."""
        return self.registers[0].offset


def blocks(registers: RegisterMap) -> tuple[Block, ...]:
    """Return the registers in order, neighbours that repeat alike as one block."""
    found: list[Block] = []
    for register in registers:
        outer = register.dimensions[0] if register.dimensions else None
        if found and found[-1].outer == outer:
            found[-1] = Block(outer, (*found[-1].registers, register))
        else:
            found.append(Block(outer, (register,)))
    return tuple(found)


def markdown_text(registers: RegisterMap) -> str:
    """Return the register map for people."""
    return render("registers.md.j2", map=registers, accesses=ACCESS_TEXTS, address=_address, one_line=_one_line)


def systemrdl_text(registers: RegisterMap) -> str:
    """Return the register map in SystemRDL 2.0."""
    return render(
        "registers.rdl.j2", map=registers, blocks=blocks(registers), accesses=RDL_ACCESS, quoted=_quoted, inner=_inner, word=WORD_BYTES
    )


def c_header_text(registers: RegisterMap, constants: Sequence[tuple[str, int, str]]) -> str:
    """Return the register map as a header for C99 and C++; ``constants``: names, values and comments of more macros."""
    return render(
        "accelerator.h.j2", map=registers, constants=constants, place=_place, prefix=registers.name.upper(), neighbours=_neighbours
    )


def _address(register: Register) -> str:
    """Return the offset with one term for each dimension."""
    return " + ".join([f"0x{register.offset:X}", *(f"0x{each.stride:X} x {each.name}" for each in register.dimensions)])


def _place(register: Register) -> tuple[str, str]:
    """Return the arguments and the value of the C macro of a register's offset."""
    if not register.dimensions:
        return "", f"0x{register.offset:X}u"
    names = [each.name for each in register.dimensions]
    terms = [f"0x{each.stride:X}u * (uint32_t)({each.name})" for each in register.dimensions]
    return f"({', '.join(names)})", f"(0x{register.offset:X}u + {' + '.join(terms)})"


def _inner(register: Register, block: Block) -> str:
    """Return the array and the address of a register within its SystemRDL block."""
    dimensions = register.dimensions[1:] if block.outer else register.dimensions
    arrays = "".join(f"[{each.count}]" for each in dimensions)
    stride = f" += 0x{dimensions[-1].stride:X}" if dimensions else ""
    return f"{arrays} @ 0x{register.offset - (block.offset if block.outer else 0):X}{stride}"


def _neighbours(register: Register) -> list[tuple[Field, Field]]:
    return list(zip(register.fields, register.fields[1:], strict=False))


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
