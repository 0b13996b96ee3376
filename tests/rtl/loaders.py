"""One top module with the loader, and the port in front of it, built for a power of two of PEs and for another number."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect, flipped

from rtl.loader import StreamLimits, WeightStreamer
from rtl.parameters import ArrayParameters
from rtl.weight_port import WeightPort

PARAMETERS = {
    "four": ArrayParameters(pes=4, code_bits=4, index_bits=4, columns=1024, local_rows=128, weight_rows=2048, entries_per_row=8),
    "three": ArrayParameters(pes=3, code_bits=3, index_bits=2, columns=64, local_rows=33, weight_rows=64, entries_per_row=4, pointers=80),
}
LIMITS = {"four": StreamLimits(code_bits=4), "three": StreamLimits(code_bits=3, max_length=10, gap_bits=9)}


def port(unit: str) -> WeightPort:
    return WeightPort(PARAMETERS[unit], LIMITS[unit])


def streamer(unit: str) -> WeightStreamer:
    return WeightStreamer(PARAMETERS[unit], LIMITS[unit])


class Loaders(wiring.Component):
    """All units; the ports of each under its name."""

    def __init__(self) -> None:
        self.units = {name: streamer(name) for name in PARAMETERS} | {f"{name}_port": port(name) for name in PARAMETERS}
        super().__init__({name: Out(unit.signature) for name, unit in self.units.items()})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name, unit in self.units.items():
            m.submodules[name] = unit
            connect(m, flipped(getattr(self, name)), unit)
        return m
