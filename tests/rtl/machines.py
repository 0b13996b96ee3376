"""The machines that the array tests build: few, because each is compiled, and as different as the RTL allows."""

from qsim.arch.architecture import Architecture
from qsim.arch.presets import MACHINES as PRESETS


def variant(name: str, **fields: object) -> Architecture:
    machine = PRESETS[name]
    for path, value in fields.items():
        machine = machine.replace(path.replace("__", "."), value)
    return machine


MACHINES: dict[str, Architecture] = {
    "1 PE": PRESETS["sparse-rtl-1"],
    "2 PEs, queue of 1": variant("sparse-rtl-2", array__queue__depth=1, weights__width_bits=64),
    "4 PEs": PRESETS["sparse-rtl-4"],
    "8 PEs": variant(
        "sparse-rtl-8", weights__width_bits=64, scan__row_width=8, array__queue__forward_latency=2, array__queue__return_latency=2
    ),
    "3 narrow PEs": variant(
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
# The other kinds: at 4 PEs as they come with qsim, but with less memory, which takes long to build; at 1 and 2 small and narrow, so that
# everything overflows and runs over.
_ONE = {"array__pes": 1, "array__local_rows": 40, "weights__bytes": 8192, "activations__bytes": 1024, "scan__skip_zeros": True}
_TWO = _ONE | {"array__pes": 2, "array__queue__depth": 1, "scan__row_width": 3}
MACHINES |= {
    "1 dense PE": variant("dense-rtl-4", **_ONE),
    "2 dense PEs": variant("dense-rtl-4", **_TWO, array__weight_bits=9, array__accumulator_bits=24, weights__width_bits=18),
    "4 dense PEs": variant("dense-rtl-4", weights__bytes=16384),
    "1 codebook PE": variant("codebook-rtl-4", **_ONE),
    "2 codebook PEs": variant("codebook-rtl-4", **_TWO, array__code_bits=5, array__accumulator_bits=30, weights__width_bits=40),
    "4 codebook PEs": variant("codebook-rtl-4", weights__bytes=4096),
    "1 pvq PE": variant("pvq-rtl-4", **_ONE, array__code_bits=4, array__index_bits=3, array__accumulator_bits=20),
    "2 pvq PEs": variant("pvq-rtl-4", **_TWO, array__code_bits=6, array__index_bits=2, array__accumulator_bits=24, weights__width_bits=32),
    "4 pvq PEs": variant("pvq-rtl-4", weights__bytes=8192),
}
# The same hardware as its namesake: dense order is run-time configuration.
for _name in ("2 PEs, queue of 1", "2 dense PEs", "2 pvq PEs"):
    MACHINES[f"{_name.split(',')[0]}, every column"] = MACHINES[_name].replace("scan.skip_zeros", False)
