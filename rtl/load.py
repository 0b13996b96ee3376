"""The load bus: one write a cycle into any memory or register of the array, while no layer runs."""

from amaranth.hdl import Module, Shape, ValueLike, unsigned
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import Out
from amaranth.utils import ceil_log2

from rtl.parameters import ArrayParameters
from rtl.places import ActivationPlaces


class Unit(enum.Enum, shape=4):
    """What a word of the load bus is written to.

    LAYER: the configuration (address ignored). ACTIVATIONS: a row (:meth:`rtl.places.ActivationPlaces.address`), element 0 in the low
    bits. CODEBOOK: one value, the same for all PEs. BIAS, SCALE: of one local row of PE ``pe``. POINTERS: the pair of pointers
    ``2 * address`` (low half) and ``2 * address + 1`` of PE ``pe``, each a ``column_pointer``. WEIGHTS: a weight row of PE ``pe``, entry 0
    in the low bits. DESCRIPTOR: of layer ``address``; TABLE: the weight of code ``address mod 2**code_bits`` in layer
    ``address div 2**code_bits``, copied to the codebooks before the layer runs. Words for a unit that the array does not have are ignored.
    """

    LAYER = 0
    ACTIVATIONS = 1
    CODEBOOK = 2
    BIAS = 3
    POINTERS = 4
    WEIGHTS = 5
    SCALE = 6
    DESCRIPTOR = 7
    TABLE = 8


def load_layout(parameters: ArrayParameters) -> data.StructLayout:
    """Return the layout of a word on the load bus: ``unit``, ``pe``, ``address`` and ``data``, wide enough for every unit."""
    p = parameters
    tables = max(1, p.layers) << p.code_bits if p.has_codebook else 1
    depths = (ActivationPlaces.of(p).addresses, tables, p.layers, p.local_rows, p.pointer_pairs, p.weight_rows)
    widths = (
        Shape.cast(p.descriptor if p.layers else p.layer).width,
        p.row_width * p.activation_bits,
        p.weight_bits,
        p.bias_bits,
        2 * p.column_pointer.size,
        p.entries_per_row * Shape.cast(p.entry).width,
    )
    return data.StructLayout(
        {
            "unit": Unit,
            "pe": unsigned(max(1, ceil_log2(p.pes))),
            "address": unsigned(max(1, ceil_log2(max(depths)))),
            "data": unsigned(max(widths)),
        }
    )


class LoadSignature(wiring.Signature):
    """A load bus: ``word`` (see :func:`load_layout`) is written in every cycle in which ``valid`` is high."""

    def __init__(self, parameters: ArrayParameters) -> None:
        super().__init__({"valid": Out(1), "word": Out(load_layout(parameters))})


def connect_memory(m: Module, bus: wiring.PureInterface, port: wiring.PureInterface, unit: Unit, pe: ValueLike | None = None) -> None:
    """Connect a memory's write port to the words for ``unit`` (and ``pe``, unless all PEs take the same word)."""
    word = bus.word
    m.d.comb += [
        port.addr.eq(word.address),
        port.data.eq(word.data),
        port.en.eq(bus.valid & (word.unit == unit) & (1 if pe is None else word.pe == pe)),
    ]
