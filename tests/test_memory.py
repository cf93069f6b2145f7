"""What threads have freed goes back to the system, in a program that stays open."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

WORK = """
import sys, threading
import numpy as np
from napari_stemnmf import memory

def held():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6

if sys.argv[1] == "bounded":
    assert memory.keep_little()
    assert memory.keep_little()

def work(start):
    start.wait()
    for _ in range(4):
        arrays = [np.ones(size * 2**17) for size in (26, 16, 8, 3)]
        del arrays

begun = held()
for _ in range(3):
    start = threading.Barrier(8)
    threads = [threading.Thread(target=work, args=(start,)) for _ in range(8)]
    for each in threads: each.start()
    for each in threads: each.join()
print(held() - begun)
"""


def held_after(how: str, **environment: str) -> float:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", WORK, how], env={**environ, **environment}, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


@pytest.mark.skipif(sys.platform != "linux" or not os.confstr("CS_GNU_LIBC_VERSION"), reason="of glibc only")
def test_threads_that_have_ended_leave_little_memory_behind() -> None:
    assert held_after("bounded") < 100
    assert held_after("as it is") > held_after("bounded")


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_stemnmf import memory

    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000000")
    assert not memory.keep_little.__wrapped__()
