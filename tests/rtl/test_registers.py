# amaranth: UnusedElaboratable=no
"""Asks whether the table of registers is sound for every preset machine and says what the hardware does."""

from collections.abc import Callable

import pytest

from qsim.arch.architecture import PEKind
from qsim.arch.presets import MACHINES
from qsim.errors import MachineError
from rtl.axi import AxiAccelerator
from rtl.counter_store import CounterStore
from rtl.counters import COUNTER_BITS, OF_PES, counters_layout
from rtl.emit import rtlil_text
from rtl.load import Unit, load_layout
from rtl.parameters import ArrayParameters
from rtl.register import Access, Dimension, Field, Register, RegisterMap
from rtl.registers import COUNTERS, register_map
from rtl.sequencer import ErrorCode, Sequencer
from rtl.uart import UartAccelerator
from rtl.window import unit_depths

RTL = {name: machine for name, machine in MACHINES.items() if "rtl" in name}
FIELD = Field("value", 0, 8, Access.READ_WRITE, "")


@pytest.fixture(params=RTL)
def parameters(request: pytest.FixtureRequest) -> ArrayParameters:
    return ArrayParameters.of(RTL[request.param], layers=3)


def test_counters_stand_in_the_order_of_the_hardware(parameters: ArrayParameters) -> None:
    layout, registers = counters_layout(parameters), register_map(parameters)
    for name, place in layout:
        first = COUNTERS + place.offset // 8
        for layer in range(parameters.layers):
            start = first + layer * registers["COUNT_CYCLES"].dimensions[0].stride
            expected = [start + 4 * pe for pe in range(parameters.pes)] if name in OF_PES else [start]
            register = registers[f"COUNT_{name.upper()}"]
            pes = range(parameters.pes) if name in OF_PES else [None]
            assert [register.element(layer, *(() if pe is None else (pe,))) for pe in pes] == expected
    assert COUNTER_BITS == 32


def test_every_error_and_unit_has_its_name(parameters: ArrayParameters) -> None:
    registers = register_map(parameters)
    status = {field.name: field for field in registers["STATUS"].fields}
    target = {field.name: field for field in registers["LOAD_TARGET"].fields}
    assert dict(status["error"].values) == {code.name: code.value for code in ErrorCode}
    assert dict(target["unit"].values) == {unit.name: unit.value for unit in Unit}


def test_everything_has_a_description(parameters: ArrayParameters) -> None:
    for register in register_map(parameters):
        assert register.description and register.name == register.name.upper()
        for field in register.fields:
            assert field.description.endswith(".") and field.name == field.name.lower()
            assert all(value < 1 << field.width for _, value in field.values)


def test_depths_fit_the_load_bus(parameters: ArrayParameters) -> None:
    """An address that is one too large still is another address on the bus: it is refused, not wrapped."""
    bits = load_layout(parameters)["address"].width
    assert all(0 < depth <= 1 << bits for depth in unit_depths(parameters).values())


def test_counters_are_copied_before_they_move(parameters: ArrayParameters) -> None:
    stand = Sequencer(parameters).setup_latency
    store = CounterStore(parameters, stand)
    assert store.copy_cycles <= stand
    assert store.banks * store.copy_cycles >= store.words == counters_layout(parameters).size // COUNTER_BITS


def test_streaming_has_its_own_counter() -> None:
    p = ArrayParameters.of(RTL["sparse-rtl-2"], layers=2, streamed=True)
    registers, place = register_map(p), counters_layout(p)["loading"]
    assert registers["COUNT_LOADING"].offset == COUNTERS + place.offset // 8
    assert [field.reset for field in registers["MACHINE"].fields if field.name == "streamed"] == [1]


@pytest.mark.parametrize("kind", PEKind)
def test_every_kind_has_a_host_side(kind: PEKind) -> None:
    p = ArrayParameters(kind=kind, pes=2, columns=16, local_rows=8, weight_rows=16, pointers=32, layers=2)
    top = UartAccelerator(p, 104) if kind is PEKind.PVQ else AxiAccelerator(p)
    assert "module" in rtlil_text(top, "top")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Field("x", 30, 3, Access.READ, ""), r"field x must be within 32 bits, not \(30, 3\)"),
        (lambda: Field("x", 0, 0, Access.READ, ""), r"field x must be within 32 bits, not \(0, 0\)"),
        (lambda: Field("x", 0, 2, Access.READ, "", 4), r"field x.reset must be of 2 bits, not 4"),
        (lambda: Register("R", 2, "", (FIELD,)), r"register R.offset must be a multiple of 4, not 2"),
        (lambda: Register("R", 0, "", ()), r"fields must be at least one, without overlap"),
        (
            lambda: Register("R", 0, "", (FIELD, Field("y", 7, 1, Access.READ, ""))),
            r"fields must be at least one, without overlap",
        ),
        (lambda: Register("R", 0, "", (FIELD, Field("value", 8, 1, Access.READ, ""))), r"register R.fields must be of different names"),
        (
            lambda: RegisterMap("m", "", (Register("R", 0, "", (FIELD,), (Dimension("d", 2, 4),)), Register("S", 4, "", (FIELD,)))),
            r"register S must be not at the offset of R, not 4",
        ),
        (
            lambda: RegisterMap("m", "", (Register("R", 0, "", (FIELD,)), Register("R", 4, "", (FIELD,)))),
            r"registers of different names",
        ),
        (
            lambda: register_map(ArrayParameters(pes=2, layers=1))["NONE"],
            r"register must be one of the map, not 'NONE'; legal",
        ),
    ],
)
def test_what_is_no_table_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(MachineError, match=message):
        make()
