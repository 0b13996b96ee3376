"""One top module with the decoders and the pyramid units side by side, so that their benches share one build."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect, flipped

from rtl.huffman import HuffmanDecoder
from rtl.pvq.dot import PyramidDot
from rtl.pvq.index import PyramidIndex

HUFFMAN = {
    "wide": {"max_length": 15, "symbols": 4096, "symbol_bits": 12, "word_bits": 32},
    "tight": {"max_length": 15, "symbols": 300, "symbol_bits": 9, "word_bits": 16},
    "bytes": {"max_length": 12, "symbols": 300, "symbol_bits": 9, "word_bits": 8},
}
DOT = {"dot1": {"lanes": 1}, "dot4": {"lanes": 4}, "dot5": {"lanes": 5, "activation_bits": 9, "pulse_bits": 5, "max_pulses": 40}}
INDEX = {"index3_2": (3, 2), "index8_6": (8, 6), "index1_3": (1, 3), "index16_9": (16, 9)}


class Decoders(wiring.Component):
    """All units; the ports of each under its name."""

    def __init__(self) -> None:
        self.units: dict[str, wiring.Component] = {name: HuffmanDecoder(**options) for name, options in HUFFMAN.items()}
        self.units |= {name: PyramidDot(**options) for name, options in DOT.items()}
        self.units |= {name: PyramidIndex(*sizes) for name, sizes in INDEX.items()}
        super().__init__({name: Out(unit.signature) for name, unit in self.units.items()})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name, unit in self.units.items():
            m.submodules[name] = unit
            connect(m, flipped(getattr(self, name)), unit)
        return m
