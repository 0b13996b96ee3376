"""Asks whether the LZ4 that FST files are packed with is LZ4: blocks that a decoder written from the format's description turns back."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

import rtl.bench

PROGRAM = """
#include <lz4.h>
#include <cstdio>
#include <iterator>
#include <vector>

int main(int, char** names) {
    for (char** name = names + 1; *name; ++name) {
        std::FILE* file = std::fopen(*name, "r+b");
        std::vector<char> bytes(1 << 20);
        bytes.resize(std::fread(bytes.data(), 1, bytes.size(), file));
        std::vector<char> packed(LZ4_compressBound(bytes.size()));
        packed.resize(LZ4_compress_default(bytes.data(), packed.data(), bytes.size(), packed.size()));
        std::freopen(*name, "wb", file);
        std::fwrite(packed.data(), 1, packed.size(), file);
        std::fclose(file);
    }
}
"""


def unpacked(block: bytes) -> bytes:
    """Decode a block; asserts the rules about its end, by which decoders may read ahead."""
    found, at, last_match = bytearray(), 0, 0

    def length(nibble: int) -> int:
        nonlocal at
        total, more = nibble, nibble == 15
        while more:
            total, more, at = total + block[at], block[at] == 255, at + 1
        return total

    while True:
        token, at = block[at], at + 1
        literals = length(token >> 4)
        found += block[at : at + literals]
        at += literals
        if at == len(block):
            break
        distance, at = int.from_bytes(block[at : at + 2], "little"), at + 2
        assert 1 <= distance <= len(found)
        last_match = len(found)
        for _ in range(length(token & 15) + 4):
            found.append(found[-distance])
    assert not last_match or (literals >= 5 and len(found) - last_match >= 12)
    return bytes(found)


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[bytes, bytes]]:
    """Data, each with its block."""
    folder, rng = tmp_path_factory.mktemp("lz4"), np.random.default_rng(4)
    given = [bytes(size) for size in (*range(40), 270, 271, 300, 70_000)]
    given += [rng.integers(0, values, size, dtype=np.uint8).tobytes() for values in (2, 4, 256) for size in (13, 20, 254, 1000, 100_000)]
    given += [b"abcdefgh" * 9000 + rng.bytes(70_000) + b"abcdefgh" * 9000]
    (folder / "pack.cc").write_text(PROGRAM)
    header = Path(rtl.bench.__file__).parent
    subprocess.run(["g++", "-fsanitize=address,undefined", f"-I{header}", "-o", "pack", "pack.cc"], cwd=folder, check=True)
    for number, data in enumerate(given):
        (folder / str(number)).write_bytes(data)
    subprocess.run(["./pack", *map(str, range(len(given)))], cwd=folder, check=True)
    return [(data, (folder / str(number)).read_bytes()) for number, data in enumerate(given)]


def test_every_block_decodes_to_what_was_given(blocks: list[tuple[bytes, bytes]]) -> None:
    for data, block in blocks:
        assert unpacked(block) == data


def test_blocks_are_small_where_they_can_be_and_never_above_the_bound(blocks: list[tuple[bytes, bytes]]) -> None:
    assert all(len(block) <= len(data) + len(data) // 255 + 16 for data, block in blocks)
    repeats, random = next(pair for pair in blocks if pair[0] == bytes(70_000)), blocks[-2]
    assert len(repeats[1]) < 300
    assert len(random[1]) >= len(random[0])
