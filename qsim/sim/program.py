"""What both engines are given: everything about one layer and one input that is known before time starts.

Integers only. A :class:`Program` knows nothing of weights, formats or energy: how many items the scan finds and how many all-zero rows it
passes between them, how long each item keeps each PE, which tile of weights each item needs, what the DRAM is asked for.
docs/timing.md gives the meaning of each number in cycles.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qsim.arch.architecture import Dram, Queue
from qsim.arch.timing import Timing
from qsim.errors import FieldError
from qsim.formats.arrays import check_shape, read_only
from qsim.formats.fixed import IntArray

ServiceArray = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fetch:
    """What a layer moves over the DRAM channel.

    ``item_tile`` [N], never falling: the tile that holds the weights of each item, empty where all weights are on chip and T is 0.
    ``tile_address``, ``tile_bytes`` [T]: the request of each tile. ``tile_decode`` [T]: cycles of the entropy decoder for each
    tile, all 0 without a decoder. ``input_address``, ``input_bytes``: the requests that bring the layer's input (empty unless it
    comes from DRAM), ``output_address``, ``output_bytes``: those that write its output.
    """

    dram: Dram
    item_tile: IntArray
    tile_address: IntArray
    tile_bytes: IntArray
    tile_decode: IntArray
    input_address: IntArray
    input_bytes: IntArray
    output_address: IntArray
    output_bytes: IntArray

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            if name != "dram":
                _freeze(self, name, np.int64, 1, f"fetch.{name}")
        for address, size in (("tile_address", "tile_bytes"), ("input_address", "input_bytes"), ("output_address", "output_bytes")):
            check_shape(getattr(self, size), getattr(self, address).shape, f"fetch.{size}")
            _at_least(getattr(self, size), 1, f"fetch.{size}")
            _at_least(getattr(self, address), 0, f"fetch.{address}")
        check_shape(self.tile_decode, self.tile_bytes.shape, "fetch.tile_decode")
        _at_least(self.tile_decode, 0, "fetch.tile_decode")
        if np.any(np.diff(self.item_tile) < 0):
            raise FieldError(path="fetch.item_tile", rule="never falling", value="a fall")
        if self.item_tile.size and not 0 <= int(self.item_tile[0]) <= int(self.item_tile[-1]) < self.tiles:
            raise FieldError(path="fetch.item_tile", rule=f"below {self.tiles} tiles", value=int(self.item_tile[-1]))

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return len(self.tile_bytes)

    @property
    def decoded(self) -> bool:
        """Whether an entropy decoder stands between the channel and the tile slots."""
        return bool(self.tile_decode.any())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Program:
    """One layer with one input on one machine.

    ``scan_empty`` [N]: all-zero activation rows passed before each item; ``scan_tail``: those after the last one. ``service``
    [P, N]: cycles each item keeps the issue stage of each PE, at least 1 (stored item after item, because the fast engine is
    vectorised over PEs). ``drain_rows``: rows of P outputs to drain.
    """

    name: str
    queue: Queue
    timing: Timing
    scan_empty: IntArray
    scan_tail: int
    service: ServiceArray
    drain_rows: int
    fetch: Fetch | None = None

    def __post_init__(self) -> None:
        _freeze(self, "scan_empty", np.int64, 1, "program.scan_empty")
        _at_least(self.scan_empty, 0, "program.scan_empty")
        if self.service.ndim != 2 or self.service.dtype != np.uint32 or not len(self.service):
            raise FieldError(
                path="program.service", rule="uint32 [P, N] with P at least 1", value=f"{self.service.dtype} {self.service.shape}"
            )
        check_shape(self.service, (self.pes, self.items), "program.service")
        _at_least(self.service, 1, "program.service")
        by_item = np.ascontiguousarray(self.service.T)
        by_item.setflags(write=False)
        object.__setattr__(self, "service", by_item.T)
        if self.scan_tail < 0 or self.drain_rows < 0:
            raise FieldError(path="program", rule="of non-negative scan_tail and drain_rows", value=(self.scan_tail, self.drain_rows))
        if self.fetch is not None:
            check_shape(self.fetch.item_tile, (self.items if self.fetch.tiles else 0,), "fetch.item_tile")

    @property
    def items(self) -> int:
        """N: activations that are broadcast."""
        return len(self.scan_empty)

    @property
    def pes(self) -> int:
        """P: processing elements."""
        return len(self.service)


def _freeze(node: Any, name: str, dtype: npt.DTypeLike, dimensions: int, path: str) -> None:
    object.__setattr__(node, name, read_only(getattr(node, name), dtype, dimensions, path))


def _at_least(values: npt.NDArray[Any], minimum: int, path: str) -> None:
    if values.size and int(values.min()) < minimum:
        raise FieldError(path=path, rule=f"at least {minimum}", value=int(values.min()))
