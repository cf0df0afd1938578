# SPDX-License-Identifier: Apache-2.0
"""A log of block writes as QEMU's driver blklogwrites keeps it (the format of dm-log-writes, Documentation/admin-guide/
device-mapper/log-writes.rst in the kernel), and the disk as a power loss may leave it.

    blklog.py LOG count             how many entries there are
    blklog.py LOG build IMAGE CUT SEED   of the first CUT entries: all up to their last flush, and any part of what came after

The image has to be there, empty and of the size of the disk."""
import random
import struct
import sys

MAGIC = 0x6A736677736872
FLUSH, FUA, DISCARD = 1, 2, 4


def head(log):
    log.seek(0)
    magic, version, count, size = struct.unpack("<QQQI", log.read(28))
    assert (magic, version) == (MAGIC, 1), "not a log of block writes"
    return count, size


def entries(log, upto, size):
    """(flags, offset on the disk, length, where the data is)"""
    at = size
    for _ in range(upto):
        log.seek(at)
        sector, sectors, flags, _ = struct.unpack("<QQQQ", log.read(32))
        yield flags, sector * size, sectors * size, at + size
        at += size if flags & DISCARD else size + sectors * size


def build(log, image, cut, seed):
    count, size = head(log)
    assert 0 < cut <= count, (cut, count)
    todo = list(entries(log, cut, size))
    flushed = max((k for k, e in enumerate(todo) if e[0] & FLUSH), default=0)
    chance = random.Random(seed)
    share = chance.choice((0, 0.5, 0.9))
    lost = 0
    with open(image, "r+b") as disk:
        for k, (flags, offset, length, data) in enumerate(todo):
            if k > flushed and not flags & FUA and chance.random() >= share:
                lost += 1
            elif length and not flags & DISCARD:
                log.seek(data)
                disk.seek(offset)
                disk.write(log.read(length))
    print(f"entries={cut} flushed={flushed} lost={lost}")


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as LOG:
        if sys.argv[2] == "count":
            print(head(LOG)[0])
        else:
            build(LOG, sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
