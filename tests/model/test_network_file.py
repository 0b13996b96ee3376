"""Is the file of a whole network exact, its size that on disk, and every damage one clear error?"""

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsim.arch.presets import MACHINES
from qsim.encode.network_sizes import network_sizes
from qsim.errors import FileFormatError, QsimError
from qsim.estimate import Plan, Prepared, prepare, restore
from qsim.formats.container import seal, unseal
from qsim.formats.symbols import EncodeOptions
from qsim.model.network import Network
from qsim.model.network_file import MAGIC, CodedMatrix, NetworkFile
from workloads.builder import Builder

KINDS = ("sparse-layer-dram", "dense-16b-layer-dram", "codebook-layer-dram")


def small(seed: int = 0) -> Network:
    """Return a convolution of two groups, a fully connected layer and what lies between."""
    b = Builder("small", seed)
    x = b.relu6(b.conv("conv", b.input("image", 1, 4, 6, 5), 6, 3, groups=2, pad=1))
    return b.network(b.fc("fc", b.pooled(b.max_pool("half", x, 2, 2)), 3))


def recurrent() -> Network:
    """Return an LSTM of both directions, whose constants hold two matrices each."""
    b = Builder("recurrent", 1)
    x, weight, hidden = b.input("x", 3, 1, 5), b.weight("w", 2, 16, 5, fan_in=5), b.weight("r", 2, 16, 4, fan_in=4)
    return b.network(b.op("LSTM", "lstm", x, weight, hidden, hidden_size=4, direction="bidirectional"))


def prepared(network: Network, machine: str = KINDS[0]) -> Prepared:
    return prepare(network, MACHINES[machine], Plan(density=0.5, densities={}))


@pytest.mark.parametrize("machine", KINDS)
@pytest.mark.parametrize("make", [small, recurrent])
def test_what_is_read_is_what_was_simulated(make, machine, tmp_path) -> None:
    """To the bit: every constant, operator and tensor, and the same file again."""
    found = prepared(make(), machine)
    found.file.save(tmp_path / "net.qsn")
    assert (tmp_path / "net.qsn").stat().st_size == found.file.file_bytes
    read = NetworkFile.load(tmp_path / "net.qsn")
    network = restore(read)
    assert network.constants.keys() == found.network.constants.keys()
    for name, value in found.network.constants.items():
        assert network.constants[name].dtype == value.dtype
        assert np.array_equal(network.constants[name], value), name
    for part in ("name", "inputs", "outputs", "operators", "tensors", "source", "passes", "holes", "weights"):
        assert getattr(network, part) == getattr(found.network, part), part
    assert NetworkFile(network=network, matrices=read.matrices).data == found.file.data


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_damaged_file_is_one_error(data) -> None:
    whole = prepared(small()).file.data if not CACHE else CACHE[0]
    CACHE.append(whole)
    place = data.draw(st.integers(0, len(whole) - 1))
    damaged = bytearray(whole)
    damaged[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(FileFormatError):
        NetworkFile.from_bytes(bytes(damaged))
    with pytest.raises(FileFormatError):
        NetworkFile.from_bytes(whole[:place])


CACHE: list[bytes] = []


@pytest.mark.parametrize("place", range(11))
@pytest.mark.parametrize("value", [None, -5, "x", [], [["x"]], [["conv.weight", -1, "conv", 1 << 40, 1 << 40, [1], 0]]])
def test_metadata_of_a_stranger_is_refused(place, value) -> None:
    """With a right hash: either one error or, where the value is harmless (a name), a network that is still whole."""
    metadata, payload = unseal(prepared(small()).file.data if not CACHE else CACHE[0], MAGIC)
    assert isinstance(metadata, list)
    changed = [*metadata[:place], value, *metadata[place + 1 :]]
    try:
        restore(NetworkFile.from_bytes(seal(changed, payload, MAGIC)))
    except QsimError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(value, str) or value == [], msgpack.packb(value)


def test_a_compressed_model_is_no_network_file(tmp_path) -> None:
    (tmp_path / "x.qsn").write_bytes(b"QSZ" + bytes(60))
    with pytest.raises(FileFormatError, match="magic"):
        NetworkFile.load(tmp_path / "x.qsn")
    with pytest.raises(FileFormatError, match="cannot read"):
        NetworkFile.load(tmp_path / "none.qsn")


def test_the_bytes_of_a_matrix_in_another_code_are_not_guessed() -> None:
    found = prepared(small()).file
    sizes = network_sizes(found)
    assert sum(sizes.bytes_by_kind.values()) == found.file_bytes
    (first, *rest), options = found.matrices, EncodeOptions(huffman=False, index_bits=9)
    other = NetworkFile(
        network=found.network, matrices=(CodedMatrix.of(first.constant, first.part, first.layer, first.decode(), options), *rest)
    )
    with pytest.raises(FileFormatError, match=r"matrix conv must be coded in the fewest bits, as qsim writes it, not 'another code'"):
        network_sizes(other)
