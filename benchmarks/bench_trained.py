"""Trained networks of packages, compressed without retraining: fidelity, cycles and energy on a machine with sparse PEs.

Run: ``python -m benchmarks.bench_trained [NETWORK]...``; needs the extra ``networks``. Each is run with codes of 4 and of 8 bits.
"""

import sys

from qsim.arch.presets import MACHINES
from qsim.cli.trained import Measurement
from qsim.energy.loader import load_technology
from qsim.estimate import Plan, estimate, infer_zeros, prepare
from qsim.model.network import Network
from qsim.progress import silent
from workloads import TRAINED

MACHINE, BITS = "sparse-layer-dram", (4, 8)
POINTER_BYTES = 1 << 18  # the preset has an eighth: too little for the 65,536 columns of crepe-full's convolutions
ACTIVATION_BYTES = 1 << 12  # the preset has half: 4 bytes too little for a window of crepe-full
HEADER = "| network | parameters | licence | bits | SNR dB | cosine | top-1 agreement | task, before, after | cycles | energy |"


def row(name: str, network: Network, measurement: Measurement, bits: int) -> str:
    """Return a line of the table."""
    machine = MACHINES[MACHINE].replace("array.code_bits", bits).replace("pointers.bytes", POINTER_BYTES)
    machine = machine.replace("activations.bytes", ACTIVATION_BYTES)
    prepared = prepare(network, machine, Plan(densities={}, bits=bits))
    found = measurement.compare(prepared.network)
    first = measurement.samples.inputs[0]
    result = estimate(prepared, load_technology("han2015-45nm"), [lambda: infer_zeros(prepared, first)], measurement.samples.words)
    task = "-" if found.task is None else f"{found.task.name}: {found.task.before:.1%}, {found.task.after:.1%}"
    cells = (
        name, f"{TRAINED[name].parameters:,}", TRAINED[name].package.licence, bits, f"{found.snr_db:.1f}",
        "-" if found.cosine is None else f"{found.cosine:.4f}", "-" if found.top_1 is None else f"{found.top_1:.0%}", task,
        f"{result.cycles:,.0f}", f"{result.energy.total_pj / 1e6:,.1f} uJ",
    )  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def main(names: list[str]) -> None:
    """Print the table."""
    print(HEADER, "|---" * (HEADER.count("|") - 1) + "|", sep="\n", flush=True)
    for name in names or TRAINED:
        network = TRAINED[name].build(0)
        measurement = Measurement.of(name, network, 0, silent)
        assert measurement is not None
        for bits in BITS:
            print(row(name, network, measurement, bits), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
