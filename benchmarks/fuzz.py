"""Damaged files of every kind: none may crash, hang, fill the memory, raise a foreign error, or change without a word.

    python benchmarks/fuzz.py [--mutations 1000] [--seed 0] [--kinds npy h5 ...] [--keep FOLDER] [--files FILE ...]

Small scans of every format that can be written here, an analysis, a recipe and truths are made, and changed at random:
bits, bytes, numbers, pages of zeros, parts cut out, doubled or cut off; of an analysis also attributes and arrays, as
another program would. Each is opened and read in a process of its own, which is watched. FILEs are scans to start from
in place of recordings of vendors in the shared data. The same seed makes the same mutations; what went wrong is kept in
FOLDER, with what was raised.

What can come of a mutation:
    same       the data is as it was
    told       an error of this package, or a note on the data
    other      a sound file of other numbers: of a format without checksums, that cannot be told
    silent     an analysis that changed, or a scan of which patterns came back as nothing, without a word
    foreign    an error of Python or of a library
    memory     more than 512 MiB taken
    hang       more than 5 s of processor time
    crash      the process ended
Asked for: none of the last five.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from fuzz_files import Seed, others, read_analysis, read_scan, scans, vendors

from napari_stemnmf.errors import StemNMFError

WRONG = ("silent", "foreign", "memory", "hang", "crash")
HANG_SECONDS, MEMORY = 5.0, 512 * 2**20
NUMBERS = (0, 1, 2, 3, 7, 16, 127, 128, 255, 256, 32767, 65535, 2**31, 2**32 - 1, 2**40, 2**63, 2**64 - 1)


# ---- mutations


def mutate(path: Path, generator: np.random.Generator) -> str:
    """Change a file, or one of a folder, at random; what was done, in words."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        file = files[int(generator.integers(len(files)))]
        if generator.random() < 0.15:
            file.unlink()
            return f"{file.relative_to(path)} removed"
        return f"{file.relative_to(path)}: {mutate(file, generator)}"
    data = bytearray(path.read_bytes())
    told = [_change(data, generator) for _ in range(int(generator.choice([1, 1, 1, 2, 4])))]
    path.write_bytes(data)
    return "; ".join(told)


def _change(data: bytearray, generator: np.random.Generator) -> str:
    if not data:
        return "empty"
    head = min(len(data), int(generator.choice([64, 512, 4096, len(data)])))
    at, kind = int(generator.integers(head)), int(generator.integers(9))
    length = int(generator.choice([1, 8, 64, 512, 4096]))
    if kind == 0:
        data[at] ^= 1 << int(generator.integers(8))
        return f"bit at {at}"
    if kind == 1:
        data[at] = int(generator.integers(256))
        return f"byte at {at}"
    if kind in (2, 3, 4):
        width, order = int(generator.choice([1, 2, 4, 8])), str(generator.choice(["little", "big"]))
        number = NUMBERS[int(generator.integers(len(NUMBERS)))] % 2 ** (8 * width)
        data[at : at + width] = number.to_bytes(width, order)  # type: ignore[arg-type]
        return f"number {number} at {at}"
    if kind == 5:
        data[at : at + length] = bytes(len(data[at : at + length]))
        return f"{length} zeros at {at}"
    if kind == 6:
        del data[at : at + length]
        return f"{length} cut out at {at}"
    if kind == 7:
        data[at:at] = data[at : at + length]
        return f"{length} doubled at {at}"
    at = int(generator.integers(len(data)))
    del data[at:]
    return f"cut off at {at}"


def mutate_by_h5py(path: Path, generator: np.random.Generator) -> str:
    """Change an attribute or an array of an HDF5 file as another program would."""
    with h5py.File(path, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        name = names[int(generator.integers(len(names)))]
        node = file[name]
        if generator.random() < 0.1:
            del file[name]
            return f"{name} removed"
        if len(node.attrs) and (isinstance(node, h5py.Group) or generator.random() < 0.3):
            key = sorted(node.attrs)[int(generator.integers(len(node.attrs)))]
            value = _odd_value(node.attrs[key], generator)
            del node.attrs[key]
            node.attrs[key] = value
            return f"{name} {key} = {value!r}"[:200]
        if isinstance(node, h5py.Group) or not node.size or node.dtype.kind not in "biuf":
            return "nothing"
        values, attrs = node[()], dict(node.attrs)
        if generator.random() < 0.15:
            values = np.zeros([int(generator.integers(0, 4)) for _ in range(int(generator.integers(4)))], values.dtype)
        else:
            flat = values.reshape(-1)
            at = int(generator.integers(flat.size))
            odd = _odd_value(flat[at], generator)
            with np.errstate(all="ignore"):
                flat[at] = np.asarray(odd).astype(values.dtype) if np.ndim(odd) == 0 and not isinstance(odd, str) else 0
        del file[name]
        file[name] = values
        file[name].attrs.update(attrs)
        return f"{name} {values.shape} changed"


def _odd_value(value: Any, generator: np.random.Generator) -> Any:
    choices = [0, -1, 1e30, float("nan"), float("inf"), "", "x\n\0", np.zeros(0), np.arange(3), np.array([[1, 2]])]
    choices += [-(10**8), 2**30, 2**62, True, -1e-9, "é" * 300]
    found = choices[int(generator.integers(len(choices)))]
    return found.replace("\0", "") if isinstance(found, str) else found


# ---- watching


def judge(seed: Seed, path: Path, before: str, by_h5py: bool) -> tuple[str, str]:
    """What comes of reading a mutation, and what was raised."""
    try:
        found = seed.read(path)
    except StemNMFError as error:
        text = str(error)
        return ("told", "") if text.strip() and "\n" not in text.strip() else ("told", text)
    except MemoryError:
        return "memory", traceback.format_exc()
    except BaseException:
        return "foreign", traceback.format_exc()
    if found == before:
        return "same", ""
    if seed.read is read_analysis:
        return ("other", "") if by_h5py else ("silent", "loaded with other results")
    if seed.read is read_scan:
        (*_, empty, told, _), (*_, was, _, _) = (each.rsplit(" ", 3) for each in (found, before))
        if told:
            return "told", ""
        if int(empty) > int(was) and int(empty) < 10**6 and seed.name != "c.npy":
            return ("silent", f"{empty} patterns are empty") if _keeps_track(seed.name) else ("other", "")
    return "other", ""


def _keeps_track(name: str) -> bool:
    """Whether a format knows which of its parts were written: zeros in their place are not zeros that were stored."""
    return name.startswith(("gzip", "checksum", "latest", "lzf", "v2", "v3", "packed"))


def one(seed: Seed, before: str, number: int, base: int, folder: Path) -> dict[str, Any]:
    """Make one mutation, read it, and say what came of it."""
    generator = np.random.default_rng([base, number])
    path = folder / f"{number:06d}-{seed.path.name}"
    (shutil.copytree if seed.path.is_dir() else shutil.copyfile)(seed.path, path)
    by_h5py = seed.name == "analysis by h5py"
    done = mutate_by_h5py(path, generator) if by_h5py else mutate(path, generator)
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    came, raised = judge(seed, path, before, by_h5py)
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - taken) * 1024
    if more > MEMORY and came not in WRONG:
        came, raised = "memory", f"{more // 2**20} MiB more"
    if time.process_time() - began > HANG_SECONDS and came not in WRONG:
        came = "hang"
    return {"number": number, "seed": seed.name, "path": str(path), "done": done, "came": came, "raised": raised}


def watched(cases: list[tuple[int, Seed]], before: dict[str, str], base: int, folder: Path) -> list[dict[str, Any]]:
    """All cases, in a process that is started again after each that it does not survive."""
    found: list[dict[str, Any]] = []
    while len(found) < len(cases):
        ahead, behind = os.pipe()
        child = os.fork()
        if not child:
            _work(cases[len(found) :], before, base, folder, behind)
        os.close(behind)
        found += _listen(cases[len(found) :], child, ahead, folder)
    return found


def _work(cases: list[tuple[int, Seed]], before: dict[str, str], base: int, folder: Path, behind: int) -> None:
    code = 1
    try:
        faulthandler.disable()
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with open("/proc/self/statm", encoding="ascii") as file:
            most = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE") + 4 * 2**30
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        warnings.simplefilter("ignore")
        with os.fdopen(behind, "w", encoding="utf-8") as out:
            for number, seed in cases:
                out.write(json.dumps(one(seed, before[seed.name], number, base, folder)) + "\n")
                out.flush()
        code = 0
    finally:
        os._exit(code)


def _listen(cases: list[tuple[int, Seed]], child: int, ahead: int, folder: Path) -> list[dict[str, Any]]:
    found, rest = [], b""
    with os.fdopen(ahead, "rb", buffering=0) as stream:
        while len(found) < len(cases):
            if not select.select([stream], [], [], 8 * HANG_SECONDS)[0]:
                os.kill(child, signal.SIGKILL)
                came = "hang"
                break
            part = stream.read(2**16)
            if not part:
                came = "crash"
                break
            *lines, rest = (rest + part).split(b"\n")
            found += [json.loads(line) for line in lines]
    os.waitpid(child, 0)
    if len(found) < len(cases):
        number, seed = cases[len(found)]
        path = folder / f"{number:06d}-{seed.path.name}"
        found.append({"number": number, "seed": seed.name, "path": str(path), "done": "", "came": came, "raised": ""})
    return found


def run(mutations: int, base: int, kinds: list[str], keep: Path | None, files: list[Path]) -> list[dict[str, Any]]:
    """Make and read mutations, spread evenly over the kinds of files; what came of each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "seeds").mkdir()
        (folder / "work").mkdir()
        seeds = [*scans(folder / "seeds"), *others(folder / "seeds")]
        seeds += [Seed(path.name, path, read_scan) for path in (files or vendors())]
        seeds = [seed for seed in seeds if not kinds or any(kind in seed.name for kind in kinds)]
        before = {seed.name: seed.read(seed.path) for seed in seeds}
        cases = [(number, seeds[number % len(seeds)]) for number in range(mutations)]
        found = []
        for start in range(0, len(cases), 200):
            some = watched(cases[start : start + 200], before, base, folder / "work")
            for each in some:
                _settle(each, keep)
            found += some
            if mutations > 200:
                print(f"{len(found)} of {mutations}: {dict(Counter(each['came'] for each in found))}", flush=True)
        return found


def _settle(each: dict[str, Any], keep: Path | None) -> None:
    """Keep what went wrong, and remove the rest."""
    path = Path(each["path"])
    if keep is not None and each["came"] in WRONG and path.exists():
        keep.mkdir(parents=True, exist_ok=True)
        target = keep / f"{each['came']}-{path.name}"
        if not target.exists():
            shutil.move(path, target)
        told = f"{each['done']}\n{each['raised']}"
        target.with_name(f"{target.name}.txt").write_text(told, encoding="utf-8")
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def main(arguments: list[str] | None = None) -> int:
    """Run from the shell; the number of mutations that went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", default=[], help="parts of names of files to begin from")
    parser.add_argument("--keep", type=Path, default=None)
    parser.add_argument("--files", nargs="*", type=Path, default=[])
    options = parser.parse_args(arguments)
    found = run(options.mutations, options.seed, options.kinds, options.keep, options.files)
    names = sorted({each["seed"] for each in found})
    outcomes = ["same", "told", "other", *WRONG]
    print(f"{'':20}" + "".join(f"{outcome:>9}" for outcome in outcomes))
    for name in [*names, "all"]:
        count = Counter(each["came"] for each in found if name in (each["seed"], "all"))
        print(f"{name:20}" + "".join(f"{count[outcome]:9}" for outcome in outcomes))
    wrong = [each for each in found if each["came"] in WRONG]
    for each in wrong[:40]:
        last = each["raised"].strip().splitlines()[-1:] or [""]
        print(f"{each['came']:8} {each['number']:6} {each['seed']}: {each['done'][:80]} {last[0][:120]}")
    return len(wrong)


if __name__ == "__main__":
    sys.exit(min(1, main()))
