"""Batches with header names that are not text, as a client in C may write them."""

import struct

from aiokafka.record.util import calc_crc32c


def with_header_name(batch, name, other):
    """A batch whose header of this name has other bytes, as many, in the place of it when it is sent."""
    assert len(name) == len(other)
    batch._build = lambda build=batch._build: _renamed(build(), name, other)
    return batch


def _renamed(batch, name, other):
    """A batch with other bytes in the place of a header's name, and the checksum that goes with them (at 17, over all from 21 on)."""
    changed = bytearray(bytes(batch).replace(name, other))
    changed[17:21] = struct.pack(">I", calc_crc32c(bytes(changed[21:])))
    return changed
