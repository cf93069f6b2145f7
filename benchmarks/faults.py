"""Runs that are killed, find a full disk, a folder that is read-only, no descriptors, another scan, or another run.

    python benchmarks/faults.py [--kills 40] [--others 5] [--seed 0] [--only KIND ...]

A small run is started again and again, each time disturbed at a random moment, and then started once more in peace.
Asked for: every command ends with results or with a sentence; what is there after a kill can be opened; the run in
peace gives the files that an undisturbed one gives, byte for byte (of the analysis all but its times), repeats no stage
that was finished, and leaves nothing else behind, neither beside the results nor in the temporary folder. Kills come at
any moment, within a chosen stage, and while a file is being written; of runs that begin, that replace another
(--overwrite) and that unpack an npz file. Linux only. With the right to mount (root), disks are really full and folders
read-only; else a limit on the size of files and rights do it. The exit status is 1 if anything went wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

import napari_stemnmf as stem
from napari_stemnmf import cli

SETTINGS = ("--preset", "nmf", "--features", "bd", "--seeds", "2", "--workers", "1",
            "--set", "bd.clustering.components=12")  # fmt: skip
OTHER = ("--preset", "nmf", "--features", "bd", "--seeds", "1", "--workers", "1",
         "--set", "bd.clustering.components=9")  # fmt: skip
ANALYSIS = "analysis.stemnmf.h5"
STAGE = re.compile(r"^(.+): [\d.]+ s$", re.MULTILINE)
INSIDE = "STEMNMF_FAULTS_INSIDE"
"""Set where this program has a space of mounts of its own."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit status (negative: the signal), what it said, and the stages that it had run."""

    status: int
    said: str

    @property
    def stages(self) -> list[str]:
        return STAGE.findall(self.said)

    @property
    def wrong(self) -> str:
        """What is wrong with its end, if it was not killed; empty if nothing is."""
        if "Traceback" in self.said or "Exception ignored" in self.said:
            return "a traceback: " + self.said.strip().splitlines()[-1]
        if self.status not in (0, 1, 2):
            return f"exit status {self.status}"
        sentences = [line for line in self.said.splitlines() if line.startswith("stemnmf")]
        return "no sentence says why" if self.status and not sentences else ""


class Command:
    """The command line in a child of this process, which has imported everything already."""

    def __init__(self, *arguments: str | Path, limit: Callable[[], None] | None = None) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115
        self._status: int | None = None
        self.begun = time.perf_counter()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if not self.pid:
            self._become(list(map(str, arguments)), limit)

    def _become(self, arguments: list[str], limit: Callable[[], None] | None) -> None:
        status = 70
        try:
            for stream in (1, 2):
                os.dup2(self._said.fileno(), stream)
            if limit is not None:
                limit()
            status = cli.main(arguments)
            sys.stdout.flush()
            sys.stderr.flush()
        except SystemExit as leaves:
            status = int(leaves.code or 0)
        except BaseException:
            import traceback

            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(status)

    def said(self) -> str:
        """What it has said so far."""
        return os.pread(self._said.fileno(), 2**20, 0).decode(errors="replace")

    def has_ended(self) -> bool:
        """Whether it has come to an end by itself."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = status if pid else None
        return self._status is not None

    def kill(self) -> None:
        """End it as the system does when memory runs out."""
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> Ended:
        """Wait for its end."""
        if self._status is None:
            _, self._status = os.waitpid(self.pid, 0)
        said = self.said()
        self._said.close()
        return Ended(os.waitstatus_to_exitcode(self._status), said)


@dataclass
class Bench:
    """Where the runs take place, and what an undisturbed one gives."""

    folder: Path
    chance: np.random.Generator
    wrong: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    number: int = 0

    def __post_init__(self) -> None:
        self.temporary = self.folder / "tmp"
        self.temporary.mkdir()
        tempfile.tempdir = str(self.temporary)
        os.environ["TMPDIR"] = str(self.temporary)
        sample = stem.sample(scan_shape=(20, 20), detector_shape=(48, 48), seed=1)
        sample.save(self.folder / "film.h5")
        np.savez_compressed(
            self.folder / "film.npz", data=sample.dataset.data.compute(scheduler="synchronous")
        )  # no threads before a fork
        stem.sample(scan_shape=(20, 20), detector_shape=(48, 48), seed=2).save(self.folder / "other.h5")
        cli_once = Command("run", self.folder / "film.h5", "--out", self.folder / "warm", *SETTINGS).wait()
        assert cli_once.status == 0, cli_once.said
        self.seconds: dict[str, float] = {}
        self.stages: dict[str, list[str]] = {}
        self.expected = {name: self._undisturbed(name) for name in ("film.h5", "film.npz", "other.h5")}
        assert not list(self.temporary.iterdir())

    def _undisturbed(self, scan: str) -> dict[str, str]:
        out = self.folder / f"reference {scan}"
        command = Command("run", self.folder / scan, "--out", out, *SETTINGS)
        ended = command.wait()
        assert ended.status == 0, ended.said
        self.seconds[scan] = time.perf_counter() - command.begun
        self.stages[scan] = ended.stages
        return contents(out)

    def place(self) -> Path:
        """A folder for the next run."""
        self.number += 1
        out = self.folder / f"run {self.number}"
        out.mkdir()
        return out

    def note(self, kind: str, what: str, wrong: str) -> None:
        """Keep what came of a run."""
        self.lines.append(f"{kind:<12} {what:<44} {wrong or 'right'}")
        print(self.lines[-1], flush=True)
        if wrong:
            self.wrong.append(self.lines[-1])

    def in_peace(self, out: Path, scan: str, before: Ended, *more: str) -> str:
        """Run again, undisturbed; what is wrong with what it gives, if anything is."""
        ended = Command("run", self.folder / scan, "--out", out, *SETTINGS, *more).wait()
        if ended.status != 0 or ended.wrong:
            return f"the run in peace fails: {ended.wrong or ended.said.strip().splitlines()[-1]}"
        left = [path.name for path in self.temporary.iterdir()]
        if left:
            return f"left in the temporary folder: {', '.join(left)}"
        kept = len(before.stages) - (before.status > 0)  # what cannot be kept is told of, too
        repeated = kept + len(ended.stages) - len(self.stages[scan])
        if repeated > 0:
            return f"{repeated} finished stages are run again"
        return different(contents(out), self.expected[scan])


def contents(out: Path) -> dict[str, str]:
    """By name a digest of each file of a folder, hidden ones included; of an analysis without its times."""
    return {
        path.name: of_analysis(path) if path.name.endswith(".stemnmf.h5") else of_bytes(path)
        for path in sorted(out.iterdir())
    }


def of_bytes(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else "no file"


def of_analysis(path: Path) -> str:
    """A digest of all that an analysis holds but how long its stages took."""
    digest = hashlib.sha256()

    def add(name: str, node: h5py.Group | h5py.Dataset) -> None:
        if name.partition("/")[0] == "times":
            return
        digest.update(name.encode())
        for key in sorted(node.attrs):
            digest.update(f"{key}={node.attrs[key]!r}".encode())
        if isinstance(node, h5py.Dataset):
            values = node[()]
            digest.update(repr(values.tolist()).encode() if node.dtype.kind in "OV" else np.asarray(values).tobytes())

    with h5py.File(path) as file:
        digest.update(str(file.attrs["recipe"]).encode())
        file.visititems(add)
    return digest.hexdigest()[:16]


def different(found: dict[str, str], expected: dict[str, str]) -> str:
    """How two folders differ; empty if they do not."""
    more, less = sorted(found.keys() - expected.keys()), sorted(expected.keys() - found.keys())
    changed = [name for name in expected if name in found and found[name] != expected[name]]
    told = ((more, "left behind"), (less, "missing"), (changed, "not the same"))
    return "; ".join(f"{what}: {', '.join(names)}" for names, what in told if names)


# ---- kills


def killed(bench: Bench, kind: str) -> None:
    """One kill, and the run after it."""
    scan = "film.npz" if kind == "npz" else "film.h5"
    out, more = bench.place(), ["--overwrite"] if kind == "overwrite" else []
    if more:
        Command("run", bench.folder / scan, "--out", out, *OTHER).wait()
    old = contents(out)
    command = Command("run", bench.folder / scan, "--out", out, *SETTINGS, *more)
    moment = MOMENTS[str(bench.chance.choice(list(MOMENTS)))](bench, command, out, scan)
    after = time.perf_counter() - command.begun
    if not command.has_ended():
        command.kill()
    ended = command.wait()
    what = f"{kind}, {moment}, after {after:.2f} s" + ("" if ended.status < 0 else " (had ended)")
    wrong, path = ended.wrong if ended.status >= 0 else "", out / ANALYSIS
    if path.exists():
        try:
            stem.Analysis.load(path)
        except Exception as error:
            wrong = f"what is left cannot be opened: {error}"
    if more and ended.status < 0 and old[ANALYSIS] not in contents(out).values():
        whole = contents(out).get(ANALYSIS) == bench.expected[scan][ANALYSIS]
        wrong = wrong or ("" if whole else "the earlier analysis is gone")
    again = [] if more and path.exists() and of_analysis(path) == bench.expected[scan][ANALYSIS] else more
    bench.note("kill", what, wrong or bench.in_peace(out, scan, ended, *again))
    shutil.rmtree(out)


def at_any_moment(bench: Bench, command: Command, out: Path, scan: str) -> str:
    """Wait for a moment that is evenly spread over a run."""
    until(command, lambda: False, bench.chance.uniform(0, 1.05) * bench.seconds[scan])
    return "any moment"


def within_a_stage(bench: Bench, command: Command, out: Path, scan: str) -> str:
    """Wait for a chosen stage to begin, and for a moment within it."""
    before = int(bench.chance.integers(0, len(bench.stages[scan])))
    name = bench.stages[scan][before]
    until(command, lambda: len(STAGE.findall(command.said())) >= before, 60.0)
    until(command, lambda: False, bench.chance.uniform(0, 1.5) * bench.seconds[scan] / len(bench.stages[scan]))
    return f"in {name}"


def while_it_writes(bench: Bench, command: Command, out: Path, scan: str) -> str:
    """Wait for the scrap of a chosen file, and a few milliseconds."""
    wanted, seen = int(bench.chance.integers(1, 16)), set()

    def appears() -> bool:
        with contextlib.suppress(OSError):
            seen.update(name for name in os.listdir(out) if name.startswith("."))
        return len(seen) > wanted  # the first is the lock

    until(command, appears, 60.0, pause=0.0)
    time.sleep(float(bench.chance.exponential(0.002)))
    return f"writing its file {wanted}"


MOMENTS = {"any": at_any_moment, "stage": within_a_stage, "write": while_it_writes}


def until(command: Command, happens: Callable[[], bool], seconds: float, pause: float = 0.002) -> None:
    """Wait for something, for the end of a command, or so many seconds."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end and not happens() and not command.has_ended():
        time.sleep(pause)


def kill(bench: Bench) -> None:
    killed(bench, str(bench.chance.choice(["begin", "begin", "overwrite", "npz"])))


# ---- other faults


def full_disk(bench: Bench) -> None:
    """No room for results: really, where a disk can be mounted, and for files beyond a size."""
    whole = sum(path.stat().st_size for path in (bench.folder / "reference film.h5").iterdir())
    out, size = bench.place(), int(bench.chance.uniform(0.02, 1.3) * whole)
    mounted = mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", out)
    limit = None if mounted else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    ended = Command("run", bench.folder / "film.h5", "--out", out, *SETTINGS, limit=limit).wait()
    wrong = ended.wrong
    if mounted:
        mount("-o", "remount,size=256m", out)
    bench.note("full disk", f"{size} of {whole} bytes, exit status {ended.status}", wrong or bench.in_peace(
        out, "film.h5", ended))  # fmt: skip
    if mounted:
        subprocess.run(["umount", out], check=True)
    shutil.rmtree(out)


def large_files(bench: Bench) -> None:
    """A limit on the size of files, as quotas have it."""
    out, size = bench.place(), int(bench.chance.uniform(100, 300_000))
    ended = Command(
        "run", bench.folder / "film.h5", "--out", out, *SETTINGS,
        limit=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    ).wait()  # fmt: skip
    wrong = ended.wrong or bench.in_peace(out, "film.h5", ended)
    bench.note("file size", f"at most {size} bytes, exit status {ended.status}", wrong)
    shutil.rmtree(out)


def full_output(bench: Bench) -> None:
    """Results are written where what is said of them cannot be."""
    out = bench.place()

    def limit() -> None:
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, int(bench.number % 2) + 1)

    ended = Command("run", bench.folder / "film.h5", "--out", out, *SETTINGS, limit=limit).wait()
    wrong = different(contents(out), bench.expected["film.h5"])
    bench.note("full output", f"stream {bench.number % 2 + 1}, exit status {ended.status}", wrong)
    shutil.rmtree(out)


def read_only(bench: Bench) -> None:
    """A folder that cannot be written to."""
    out = bench.place()
    mounted = mount("--bind", out, out) and mount("-o", "remount,ro,bind", out)
    if not mounted:
        out.chmod(0o555)
    if not mounted and os.geteuid() == 0:
        bench.note("read-only", "root can write anywhere, and may not mount here", "")
        return
    wrong = ""
    for command in (["run", *SETTINGS], ["calibrate"]):
        file = bench.folder / "film.h5"
        ended = Command(command[0], file, "--out", out, *command[1:]).wait()
        wrong = wrong or ended.wrong or ("" if ended.status == 1 else f"exit status {ended.status}")
        said = ended.said
    if mounted:
        subprocess.run(["umount", out], check=True)
    out.chmod(0o755)
    bench.note("read-only", said.strip().splitlines()[-1][:44], wrong or bench.in_peace(out, "film.h5", Ended(0, "")))
    shutil.rmtree(out)


def no_descriptors(bench: Bench) -> None:
    """A system that opens no more files."""
    out, most = bench.place(), int(bench.chance.integers(6, 40))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    ended = Command("run", bench.folder / "film.h5", "--out", out, *SETTINGS, limit=limit).wait()
    wrong = ended.wrong or bench.in_peace(out, "film.h5", ended)
    bench.note("descriptors", f"{most} of them, exit status {ended.status}", wrong)
    shutil.rmtree(out)


def input_changed(bench: Bench) -> None:
    """The scan is replaced by another at some moment of a run."""
    out, scan = bench.place(), bench.folder / f"changing {bench.number}.h5"
    shutil.copy(bench.folder / "film.h5", scan)
    shutil.copy(bench.folder / "other.h5", scan.with_suffix(".new"))
    command = Command("run", scan, "--out", out, *SETTINGS)
    moment = bench.chance.uniform(0, 1.05) * bench.seconds["film.h5"]
    until(command, lambda: False, moment)
    os.replace(scan.with_suffix(".new"), scan)
    ended = command.wait()
    wrong = ended.wrong
    if ended.status == 0 and not wrong:
        tables = {name: value for name, value in contents(out).items() if name.endswith((".csv", ".tif"))}
        pure = [
            all(bench.expected[of][name] == value for name, value in tables.items()) for of in ("film.h5", "other.h5")
        ]
        wrong = "" if any(pure) else "results of two films"
    bench.note("input", f"replaced after {moment:.2f} s, exit status {ended.status}", wrong)
    shutil.rmtree(out)
    scan.unlink()


def two_runs(bench: Bench) -> None:
    """Two runs in one folder."""
    out = bench.place()
    first = Command("run", bench.folder / "film.h5", "--out", out, *SETTINGS)
    until(first, lambda: False, bench.chance.uniform(0, 0.8) * bench.seconds["film.h5"])
    second = Command("run", bench.folder / "film.h5", "--out", out, *SETTINGS)
    ended = [first.wait(), second.wait()]
    wrong = "; ".join(filter(None, (each.wrong for each in ended)))
    if not wrong and not any(each.status == 0 for each in ended):
        wrong = "neither came to its end"
    if not wrong and any(each.status and "is being written by" not in each.said for each in ended):
        wrong = "the other was not told why"
    statuses = " and ".join(str(each.status) for each in ended)
    bench.note("two runs", f"exit status {statuses}", wrong or different(contents(out), bench.expected["film.h5"]))
    shutil.rmtree(out)


OTHERS = {
    "disk": full_disk,
    "size": large_files,
    "output": full_output,
    "read-only": read_only,
    "descriptors": no_descriptors,
    "input": input_changed,
    "two": two_runs,
}


def mount(*arguments: str | Path) -> bool:
    """Mount something, if this process may; in a space of its own, so that nobody else sees it."""
    if INSIDE not in os.environ:
        return False
    return subprocess.run(["mount", *map(str, arguments)], capture_output=True).returncode == 0


@contextlib.contextmanager
def bench(seed: int) -> Iterator[Bench]:
    """A bench in a folder that goes with it."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    try:
        yield Bench(folder, np.random.default_rng(seed))
    finally:
        tempfile.tempdir = None
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Run what is asked for, and say what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=40, metavar="N")
    parser.add_argument("--others", type=int, default=5, metavar="N", help="of each other fault")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--only", nargs="+", choices=("kill", *OTHERS), default=("kill", *OTHERS), metavar="KIND")
    options = parser.parse_args()
    if os.geteuid() == 0 and INSIDE not in os.environ and shutil.which("unshare"):
        os.environ[INSIDE] = "1"
        if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0:
            os.execvp("unshare", ["unshare", "-m", sys.executable, *sys.argv])
        del os.environ[INSIDE]
    with bench(options.seed) as made:
        stages = made.stages["film.h5"]
        print(f"A run of {len(stages)} stages takes {made.seconds['film.h5']:.1f} s: {', '.join(stages)}.\n")
        wanted = [(kill, options.kills)] if "kill" in options.only else []
        wanted += [(fault, options.others) for name, fault in OTHERS.items() if name in options.only]
        for fault, count in wanted:
            for _ in range(count):
                fault(made)
        print(f"\n{len(made.lines)} faults, seed {options.seed}: {len(made.wrong)} went wrong.")
        print("\n".join(made.wrong))
    return 1 if made.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
