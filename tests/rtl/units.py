"""One top module with every unit side by side, so that all unit benches share one build."""

import dataclasses

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from qsim.arch.architecture import PEKind
from qsim.formats.fixed import FixedFormat
from rtl.activations import ActivationMemory
from rtl.broadcast import Broadcast
from rtl.codebook import CodebookLookup
from rtl.drain import DrainLane
from rtl.load import LoadSignature
from rtl.nonzero import NonZeroScan
from rtl.parameters import ArrayParameters
from rtl.pe import PE_VARIANTS
from rtl.stream import Fork, Queue

PARAMETERS = ArrayParameters(pes=3, row_width=5, code_bits=4, index_bits=3, columns=64, local_rows=32, weight_rows=128, entries_per_row=4)
OF_KIND = {kind: dataclasses.replace(PARAMETERS, kind=kind) for kind in PEKind}
PE = 1
OUTPUT = FixedFormat(16, 0)
DEPTHS = (1, 2, 3, 8)
BRANCHES = 3


class ForkedQueues(wiring.Component):
    """A fork into queues of a depth, with registers between them or without, as in the array."""

    def __init__(self, depth: int, *, far: bool) -> None:
        self.depth, self.far = depth, far
        super().__init__({"i": In(stream.Signature(16))} | {f"o{number}": Out(stream.Signature(16)) for number in range(BRANCHES)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.fork = fork = Broadcast(16, BRANCHES, self.depth) if self.far else Fork(16, BRANCHES)
        connect(m, flipped(self.i), fork.i)
        for number, branch in enumerate(fork.o):
            m.submodules[f"queue{number}"] = queue = Queue(16, self.depth)
            m.d.comb += [queue.i.valid.eq(branch.valid), queue.i.payload.eq(branch.payload)]
            m.d.comb += fork.levels[number].eq(queue.level) if self.far else branch.ready.eq(queue.i.ready)
            connect(m, queue.o, flipped(getattr(self, f"o{number}")))
        return m


class ScannedMemory(wiring.Component):
    """The scan in front of an activation memory."""

    def __init__(self) -> None:
        self.scan = NonZeroScan(PARAMETERS)
        ports = {"start": In(1), "layer": In(PARAMETERS.layer), "load": In(LoadSignature(PARAMETERS))}
        super().__init__(ports | {"o": self.scan.signature.members["o"], "active": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.scan = scan = self.scan
        m.submodules.memory = memory = ActivationMemory(PARAMETERS)
        connect(m, scan.rows, memory.scan)
        connect(m, flipped(self.load), memory.load)
        connect(m, scan.o, flipped(self.o))
        m.d.comb += [scan.start.eq(self.start), scan.layer.eq(self.layer), memory.layer.eq(self.layer), self.active.eq(scan.active)]
        return m


class Units(wiring.Component):
    """All units; the ports of each under its name."""

    def __init__(self) -> None:
        self.units: dict[str, wiring.Component] = {f"queue{depth}": Queue(16, depth) for depth in DEPTHS}
        self.units |= {
            "fork": ForkedQueues(2, far=False),
            **{f"far_fork{depth}": ForkedQueues(depth, far=True) for depth in DEPTHS},
            "lookup": CodebookLookup(4, 16, tag=8),
            "scan": ScannedMemory(),
            "lane": DrainLane(PARAMETERS, OUTPUT, PE),
            "scaled_lane": DrainLane(OF_KIND[PEKind.PVQ], OUTPUT, PE),
        }
        self.units |= {str(kind): PE_VARIANTS[kind](parameters, PE) for kind, parameters in OF_KIND.items()}
        super().__init__({name: Out(unit.signature) for name, unit in self.units.items()})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name, unit in self.units.items():
            m.submodules[name] = unit
            connect(m, flipped(getattr(self, name)), unit)
        return m
