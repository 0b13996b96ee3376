"""The frame of a ``.qsz`` file: what it is, whether it is whole, its metadata and its payload.

======  ======  ===================================================================================
offset  bytes   content
======  ======  ===================================================================================
0       3       ``QSZ``
3       1       format version, 1
4       32      SHA-256 of everything after it
36      4       length m of the compressed metadata, most significant byte first
40      m       metadata: a msgpack list, deflated (RFC 1951) with the preset dictionary of the version
40 + m  rest    payload: the streams of all layers, each padded to whole bytes
======  ======  ===================================================================================

Nothing is executed or unpickled on reading; nothing is trusted before its length is checked.
"""

import hashlib
import zlib

import msgpack

from qsim.errors import FieldError, FileFormatError

MAGIC = b"QSZ"
VERSION = 1
PREFIX_BYTES = 40
MAX_METADATA = 1 << 20  # decompressed; a recipe is about 1 kB
# What recipes and layer descriptions usually say, so that a file need not say it again.
# Part of format version 1: another dictionary is another version.
DICTIONARY = (
    b"baseline test_error accuracy density name validation_error seed epochs schedule refresh_steps learning_rate batch momentum "
    b"weight_decay optimizer levels bits percentile calibration rounds iterative magnitude densities = [0.08, 0.09, 0.26]\n"
    b"hessian ecsq pulses = [ vector residual stages length hierarchical ward lvq "
    b'start = "linear" "optimal" "density" "random"\nzero = true\nmax_code_length = 15\nhuffman = true\nindex_bits = 5\n\n[encode]\n'
    b"activation_bits = 16\nweight_bits = 16\naccumulator_bits = 32\n[fixed_point]\nbias_bits = 8\n\n[finetune]\nepochs = 8\n"
    b'method = "pvq"\nmethod = "fixed"\nmethod = "kmeans"\nentries = 8\n\n[quantise]\nmethod = "gradual"\ndensity = 0.03\n'
    b'epochs = 80\n\n[prune]\nmethod = "\nname = ""\ndescription = "lenet-300-100\xa3fc1\xa3fc2\xa3fc3\xa5s16.8\xa4s8.6\xa6s32.20'
)


def seal(metadata: list[object], payload: bytes, magic: bytes = MAGIC) -> bytes:
    """Return the file with this ``metadata`` and ``payload``; ``magic`` are its first three bytes."""
    try:
        plain: bytes = msgpack.packb(metadata)
    except (ValueError, OverflowError, TypeError) as error:
        raise FieldError(path="metadata", rule="texts, 64-bit numbers and truth values", value=str(error)) from error
    if len(plain) > MAX_METADATA:
        raise FieldError(path="metadata", rule=f"at most {MAX_METADATA} bytes", value=len(plain))
    deflater = zlib.compressobj(9, wbits=-15, zdict=DICTIONARY)
    squeezed = deflater.compress(plain) + deflater.flush()
    body = len(squeezed).to_bytes(4, "big") + squeezed + payload
    return magic + bytes([VERSION]) + hashlib.sha256(body).digest() + body


def content_hash(data: bytes) -> str:
    """Return the hash that a sealed file carries, in hexadecimal."""
    return data[4:36].hex()


def unseal(data: bytes, magic: bytes = MAGIC) -> tuple[object, bytes]:
    """Return metadata and payload of a sealed file; :class:`FileFormatError` when it is not exactly what :func:`seal` wrote."""
    if data[:3] != magic:
        kind = {b"QSZ": "a .qsz file", b"QSN": "a .qsn file"}.get(magic, "a qsim file")
        raise FileFormatError(path="file.magic", rule=f"{magic!r}, with which {kind} begins", value=data[:3])
    if len(data) < PREFIX_BYTES:
        raise FileFormatError(path="file", rule=f"at least {PREFIX_BYTES} bytes long", value=len(data))
    if data[3] != VERSION:
        raise FileFormatError(path="file.version", rule=f"{VERSION}", value=data[3])
    if hashlib.sha256(data[36:]).digest() != data[4:36]:
        raise FileFormatError(path="file.hash", rule="the SHA-256 of the content (the file is damaged)", value=data[4:36].hex())
    length = int.from_bytes(data[36:40], "big")
    if length > len(data) - PREFIX_BYTES:
        rule = f"at most {len(data) - PREFIX_BYTES}, the bytes that follow"
        raise FileFormatError(path="file.metadata_length", rule=rule, value=length)
    return _read_metadata(data[PREFIX_BYTES : PREFIX_BYTES + length]), data[PREFIX_BYTES + length :]


def _read_metadata(squeezed: bytes) -> object:
    inflater = zlib.decompressobj(wbits=-15, zdict=DICTIONARY)
    try:
        plain = inflater.decompress(squeezed, MAX_METADATA)
    except zlib.error as error:
        raise FileFormatError(path="file.metadata", rule="deflated data", value=str(error)) from error
    if not inflater.eof or inflater.unused_data:
        rule = f"one whole deflate stream of at most {MAX_METADATA} bytes"
        raise FileFormatError(path="file.metadata", rule=rule, value="a longer or unfinished one")
    try:
        return msgpack.unpackb(plain)
    except (ValueError, msgpack.UnpackException) as error:
        raise FileFormatError(path="file.metadata", rule="one msgpack object", value=str(error)) from error
