"""The machines that the array tests build: few, because each is compiled, and as different as the RTL allows."""

from qsim.arch.architecture import Architecture
from qsim.arch.presets import MACHINES as PRESETS


def _variant(name: str, **fields: object) -> Architecture:
    machine = PRESETS[name]
    for path, value in fields.items():
        machine = machine.replace(path.replace("__", "."), value)
    return machine


MACHINES: dict[str, Architecture] = {
    "1 PE": PRESETS["sparse-rtl-1"],
    "2 PEs, queue of 1": _variant("sparse-rtl-2", array__queue__depth=1, weights__width_bits=64),
    "4 PEs": PRESETS["sparse-rtl-4"],
    "8 PEs": _variant("sparse-rtl-8", weights__width_bits=64, scan__row_width=8),
    "3 narrow PEs": _variant(
        "sparse-rtl-2",
        array__pes=3,
        array__queue__depth=3,
        array__code_bits=3,
        array__index_bits=2,
        array__weight_bits=8,
        array__activation_bits=8,
        array__accumulator_bits=16,
        array__local_rows=40,
        scan__row_width=5,
        weights__width_bits=24,
        weights__bytes=6144,
    ),
}
# The same hardware as its namesake: dense order is run-time configuration.
MACHINES["2 PEs, every column"] = MACHINES["2 PEs, queue of 1"].replace("scan.skip_zeros", False)
