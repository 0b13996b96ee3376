"""A Huffman decoder that reads one bit after the other from the published description: what the RTL is compared with."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from qsim.formats.huffman import CanonicalHuffman
from rtl.huffman import HuffmanError, stream_words, table_words
from tests.rtl.decoders import HUFFMAN


def codes_of(lengths: Sequence[int]) -> dict[str, int]:
    """The symbol of every code, as text of 0 and 1: counted up in order of (length, symbol)."""
    code, before, found = 0, 0, {}
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(lengths) if length):
        code <<= length - before
        found[f"{code:0{length}b}"] = symbol
        code, before = code + 1, length
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A stream as it is sent to a decoder, damaged or not."""

    name: str
    unit: str
    code: CanonicalHuffman
    words: list[int]
    count: int
    bits: int
    last: list[bool] = field(default_factory=list)

    @classmethod
    def of(cls, name: str, unit: str, code: CanonicalHuffman, payload: bytes, bits: int, count: int) -> "Case":
        words = stream_words(payload, HUFFMAN[unit]["word_bits"])
        last = [at == len(words) - 1 for at in range(len(words))]
        return cls(name=name, unit=unit, code=code, words=words, count=count, bits=bits, last=last)

    def expected(self) -> tuple[list[int], HuffmanError]:
        """The symbols in front of the first error, and that error."""
        width = HUFFMAN[self.unit]["word_bits"]
        sent = self.last.index(True) + 1 if True in self.last else len(self.words)
        text = "".join(f"{word:0{width}b}" for word in self.words[:sent])
        there, codes = min(self.bits, len(text)), codes_of(self.code.lengths.tolist())
        symbols, place = [], 0
        for _ in range(self.count):
            if place >= there:
                return symbols, HuffmanError.ENDS_EARLY
            # Beyond its end a stream reads as zeros, as in the software decoder.
            ahead = (text[place:] + "0" * 15)[:15]
            length = next((length for length in range(1, 16) if ahead[:length] in codes), None)
            if length is None:
                return symbols, HuffmanError.INVALID_CODE
            if place + length > there:
                return symbols, HuffmanError.ENDS_EARLY
            symbols.append(codes[ahead[:length]])
            place += length
        if place != self.bits or (self.bits and True not in self.last) or len(text) - place >= width:
            return symbols, HuffmanError.ENDS_LATE
        return symbols, HuffmanError.PADDING if "1" in text[place:] else HuffmanError.NONE

    def to_json(self) -> dict[str, object]:
        symbols, error = self.expected()
        options = HUFFMAN[self.unit]
        return {
            "name": self.name,
            "unit": self.unit,
            "word_bits": options["word_bits"],
            "full_rate": options["word_bits"] >= options["max_length"],
            "lengths": table_words(self.code, options["max_length"]),
            "table": list(self.code.decoding_tables.symbols),
            "words": self.words,
            "last": [int(last) for last in self.last],
            "count": self.count,
            "bits": self.bits,
            "expected": symbols,
            "error": error.value,
        }


def random_code(rng: np.random.Generator, unit: str) -> CanonicalHuffman:
    """A code of any shape that the decoder ``unit`` holds: flat or steep, few symbols or many, up to its longest code."""
    options = HUFFMAN[unit]
    alphabet = int(rng.integers(1, min(options["symbols"], 80)))
    steepness = rng.choice([0.0, 0.3, 1.0, 3.0])
    counts = np.ceil(1e6 * np.exp(-steepness * rng.permutation(alphabet))).astype(np.int64)
    counts[rng.random(alphabet) < 0.2] = 0
    counts[rng.integers(alphabet)] += 1
    return CanonicalHuffman.from_counts(counts, options["max_length"])
