"""Figures in the files that TensorBoard reads, written without TensorBoard and without TensorFlow."""

import functools
import pathlib
import struct
import time

import numpy as np

_POLYNOMIAL = 0x82F63B78  # of CRC-32C, its bits reversed
_VERSION = b"brain.Event:2"


def append_scalars(path, step, values):
    """Append figures to an event file, which is made where there is none.

    TensorBoard reads every file with "tfevents" in its name. Each call leaves the file complete.

    Args:
        path: path of the file.
        step: int, at least 0, such as the epoch.
        values: dict of name to float.

    Example:

    >>> import tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "history.tfevents")
    >>> append_scalars(path, 1, {"loss": 0.5})
    >>> path.stat().st_size
    84

    Reference:
        https://www.tensorflow.org/tutorials/load_data/tfrecord
        https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto
    """
    path = pathlib.Path(path)
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinity
        numbers = {name: np.float64(value).astype("<f4").tobytes() for name, value in values.items()}
    scalars = (_field(1, name.encode()) + _key(2, 5) + number for name, number in numbers.items())
    summary = b"".join(_field(1, scalar) for scalar in scalars)
    records = _record(_event(0, _field(3, _VERSION))) if not path.exists() else b""
    with path.open("ab") as file:
        file.write(records + _record(_event(step, _field(5, summary))))


def _event(step, content):
    """A message of protocol buffers: the time, the step, and what there is to say."""
    return _key(1, 1) + struct.pack("<d", time.time()) + _key(2, 0) + _varint(step) + content


def _field(number, content):
    """A field of bytes, text, or a message in a message."""
    return _key(number, 2) + _varint(len(content)) + content


def _key(number, kind):
    return _varint(number << 3 | kind)


def _varint(value):
    """An integer in groups of seven bits, the lowest first."""
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes(group | 0x80 for group in groups[:-1]) + bytes(groups[-1:])


def _record(content):
    """A record of a TFRecord file: length and content, each with its checksum."""
    length = struct.pack("<Q", len(content))
    return length + _checksum(length) + content + _checksum(content)


def _checksum(content):
    """CRC-32C, masked as TFRecord files have it."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = crc >> 8 ^ _table()[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


@functools.cache
def _table():
    """What each value of a byte does to the checksum."""
    table = list(range(256))
    for _ in range(8):
        table = [value >> 1 ^ (_POLYNOMIAL if value & 1 else 0) for value in table]
    return table
