"""What a host does by reading and writing registers, whatever carries them. Runs inside the simulator."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import groupby

from tests.rtl.hosts import VECTORS

# Offsets and bits are written out: a mistake in the table must not repeat itself here.
CONTROL, STATUS, TIMEOUT, IRQ_ENABLE, IRQ_STATUS, BEST, FINISHED = 0x40, 0x44, 0x48, 0x4C, 0x50, 0x54, 0x58
LOAD_TARGET, LOAD_ADDRESS, LOAD_DATA = 0x60, 0x64, 0x68
COUNTERS, COUNTERS_PITCH = 0x1000, 0x80
START, ABORT, RESET = 1, 2, 4


def words_of(words: list[int]) -> Iterator[tuple[int, int, list[int]]]:
    """Yield target, first address and data of words of the load bus that follow each other."""
    parts = [
        (VECTORS.field(word, "unit"), VECTORS.field(word, "pe"), VECTORS.field(word, "address"), VECTORS.field(word, "data"))
        for word in words
    ]
    for _, group in groupby(enumerate(parts), lambda each: (*each[1][:2], each[1][2] - each[0])):
        unit, pe, address, _ = (given := [part for _, part in group])[0]
        length = max(1, *(-(-part[3].bit_length() // 32) for part in given))
        yield unit | length << 8 | pe << 16, address, [(part[3] >> (32 * at)) & 0xFFFFFFFF for part in given for at in range(length)]


class RegisterHost(ABC):
    """A host with ``read(address)`` and ``write(address, *words)``, all words to that address."""

    @abstractmethod
    async def read(self, address: int) -> int: ...

    @abstractmethod
    async def write(self, address: int, *words: int) -> None: ...

    async def until_ready(self) -> None:
        while not await self.read(STATUS) & 1:
            pass

    async def load(self, words: list[int]) -> None:
        await self.until_ready()
        for target, address, data in words_of(words):
            await self.write(LOAD_TARGET, target)
            await self.write(LOAD_ADDRESS, address)
            await self.write(LOAD_DATA, *data)

    async def start(self) -> None:
        await self.until_ready()
        await self.write(CONTROL, START)

    async def abort(self) -> None:
        await self.write(CONTROL, ABORT)

    async def set_timeout(self, cycles: int) -> None:
        await self.write(TIMEOUT, cycles)

    async def ended(self) -> tuple[int, int]:
        while not (status := await self.read(STATUS)) & 4:
            pass
        return (status >> 8) & 15, status >> 16

    async def best(self) -> int:
        return await self.read(BEST)

    async def counters(self) -> list[list[int]]:
        layers = range(await self.read(FINISHED))
        return [[await self.read(COUNTERS + COUNTERS_PITCH * layer + 4 * at) for at in range(VECTORS.counters)] for layer in layers]
