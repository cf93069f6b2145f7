"""What files hold, told apart by content: sizes, sampled blocks and, as a first look, times. Standard library only.

A scan is one file or many: a folder of chunks, a header beside its data, files that are linked. `look` notes of every
part its size, times and a digest; of parts that are as they were noted before nothing is read. `changed` compares two
looks. Up to `WHOLE_BYTES` are read whole; of more, `BLOCKS` blocks that are spread evenly over all of it. So reading is
bounded however large the scan is, and a copy, which has other times, is known by its content.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

WHOLE_BYTES = 256 * 2**20
"""Parts that hold no more than this together are read whole."""
BLOCK, BLOCKS = 64 * 2**10, 4096
"""Of larger ones: bytes of a block, and about how many blocks are read."""
SMALL, MOST_SMALL = 64 * 2**10, 4096
"""Parts of at most so many bytes, such as headers, are read whole as well, where there are no more than that."""
YOUNG_SECONDS = 2.0
"""Times of a part that was written so shortly before it was looked at prove nothing: it may be written again within one
tick of the clock of its file system."""


@dataclass(frozen=True)
class Part:
    """What was noted of a file.

    Attributes
    ----------
    name : str
        Its number among the files of a scan, and its path where that is a folder. Not its own name: it may be renamed.
    size : int
        Bytes.
    written, touched, node : int
        Times of the last change of content and of anything else, ns, and number in its file system; 0 where the times
        prove nothing.
    sampled : int
        How many bytes the digest is of.
    digest : str
        Of the sampled bytes; empty if there are none.
    """

    name: str
    size: int
    written: int = 0
    touched: int = 0
    node: int = 0
    sampled: int = 0
    digest: str = ""

    @property
    def times(self) -> tuple[int, int, int]:
        """What must be equal for a file to be taken as unchanged without reading it."""
        return self.written, self.touched, self.node


def look(paths: Sequence[str | Path], known: Sequence[Part] = ()) -> tuple[Part, ...]:
    """Note what files hold, links followed; folders with all that is in them.

    Parameters
    ----------
    paths : sequence of path
        Files and folders, in an order that does not depend on their names.
    known : sequence of Part
        What was noted before: what has the same size and times is not read again.

    Raises
    ------
    OSError
        If a file is not there or cannot be read.
    """
    found = [_noted(name, path) for name, path in _files(paths)]
    before = {part.name: part for part in known}
    same = [(part.name, part.size) for part, _ in found] == [(part.name, part.size) for part in known]
    wanted = _blocks([part.size for part, _ in found])
    parts = []
    for (part, path), blocks in zip(found, wanted, strict=True):
        old = before.get(part.name)
        if same and old is not None and part.written and part.times == old.times:
            parts.append(old)
        else:
            sampled = sum(length for _, length in blocks)
            parts.append(replace(part, sampled=sampled, digest=_digest(path, blocks) if blocks else ""))
    return tuple(parts)


def times(path: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of a file, or of all in a folder: a quick look that says whether anything was written."""
    found = [(name, file.stat()) for name, file in _files([path])]
    return [(name, each.st_size, each.st_mtime_ns) for name, each in found]


def mark(parts: Sequence[Part]) -> str:
    """A digest of sizes and sampled content; of neither names nor times."""
    return hashlib.sha256("\n".join(f"{part.size} {part.digest}" for part in parts).encode()).hexdigest()


def changed(before: Sequence[Part], now: Sequence[Part]) -> bool:
    """Whether files hold something else than they did, as far as can be told without reading all of them.

    Sizes and what was sampled must be equal. Where a part was not read whole, its times count as well, if it is seen to
    be at its old place, not a copy: it has its number in the file system, or other parts have their times.
    """
    if [(part.name, part.size) for part in before] != [(part.name, part.size) for part in now]:
        return True
    in_place = any(old.written and old.written == new.written for old, new in zip(before, now, strict=True))
    for old, new in zip(before, now, strict=True):
        if old.digest != new.digest:
            return True
        at_its_place = in_place or (old.node and old.node == new.node)
        dated = old.written and new.written and old.written != new.written
        if new.sampled < new.size and at_its_place and dated:
            return True
    return False


def _files(paths: Sequence[str | Path]) -> Iterator[tuple[str, Path]]:
    """The name and path of every file, those of a folder by their paths in it."""
    for number, path in enumerate(map(Path, paths)):
        if not path.is_dir():
            yield str(number), path
            continue
        inside = sorted((file.relative_to(path).as_posix(), file) for file in _below(path))
        yield from ((f"{number}/{name}", file) for name, file in inside)


def _below(folder: Path) -> Iterator[Path]:
    """All files below a folder; folders that are links are entered, each once."""
    seen: set[str] = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        yield from (Path(root, name) for name in files)


def _noted(name: str, path: Path) -> tuple[Part, Path]:
    found = path.stat()
    size = found.st_size if stat.S_ISREG(found.st_mode) else 0
    young = time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) < YOUNG_SECONDS * 1e9
    times = (0, 0, 0) if young else (found.st_mtime_ns, found.st_ctime_ns, found.st_ino & 2**63 - 1)
    return Part(name, size, *times), path


def _blocks(sizes: Sequence[int]) -> list[list[tuple[int, int]]]:
    """Which bytes of files are read, as (offset, length) by file."""
    total = sum(sizes)
    if total <= WHOLE_BYTES:
        return [[(0, size)] if size else [] for size in sizes]
    starts = [total * i // BLOCKS for i in range(BLOCKS)]
    few_small = sum(size <= SMALL for size in sizes) <= MOST_SMALL
    wanted, first = [], 0
    for size in sizes:
        own = [start - first for start in starts[bisect_left(starts, first) : bisect_left(starts, first + size)]]
        if size <= SMALL:
            own = [0] if size and (own or few_small) else []
        elif own:
            own += [size - BLOCK]
        wanted.append(_joined(own, size))
        first += size
    return wanted


def _joined(starts: Sequence[int], size: int) -> list[tuple[int, int]]:
    """Blocks that begin there, without what they have in common."""
    blocks: list[tuple[int, int]] = []
    for start in sorted(starts):
        start = max(start, sum(blocks[-1]) if blocks else 0)
        length = min(BLOCK, size - start)
        if length > 0:
            blocks.append((start, length))
    return blocks


def _digest(path: Path, blocks: Sequence[tuple[int, int]]) -> str:
    digest, buffer = hashlib.sha256(), bytearray(min(2**20, max(length for _, length in blocks)))
    with open(path, "rb", buffering=0) as file:
        for offset, length in blocks:
            file.seek(offset)
            while length > 0 and (got := file.readinto(memoryview(buffer)[: min(length, len(buffer))])):
                digest.update(memoryview(buffer)[:got])
                length -= got
    return digest.hexdigest()[:32]
