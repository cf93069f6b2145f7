"""``stemnmf run FILE FILE … --out DIR``: one scan after the other, each into a folder of its own, and tables of all."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_stemnmf.cli.wording import in_options
from napari_stemnmf.errors import Cancelled, StemNMFError
from napari_stemnmf.texts import shown

if TYPE_CHECKING:
    from napari_stemnmf.analysis import Analysis


def is_batch(files: Sequence[str]) -> bool:
    """Whether several scans are meant: more than one file, or a folder that is no scan itself."""
    if len(files) > 1:
        return True
    from napari_stemnmf.reading.opening import can_open

    return Path(files[0]).is_dir() and not can_open(files[0])


def run_all(files: Sequence[str], out: Path, run: Callable[[Path, Path], Analysis]) -> int:
    """Run all, go on where one fails, and write the tables after each; the exit status.

    Parameters
    ----------
    files : sequence of str
        Scans, and folders of scans.
    out : Path
    run : callable
        Called with a file and its folder.
    """
    from napari_stemnmf.export.batch import Outcome, failed, folders, scans_in, write_batch
    from napari_stemnmf.files.writing import make_folder

    scans = scans_in(files)
    make_folder(out)
    places = folders(scans, out)
    outcomes: list[Outcome] = []
    written: list[Path] = []
    for number, (scan, place) in enumerate(zip(scans, places, strict=True), start=1):
        print(f"[{number} of {len(scans)}] {shown(str(scan))}")
        try:
            outcomes.append(Outcome.of(scan, place, run(scan, place)))
        except Cancelled:
            raise
        except StemNMFError as error:
            outcomes.append(failed(scan, place, error))
            print(f"stemnmf: {shown(in_options(str(error)))}", file=sys.stderr)
        written = write_batch(outcomes, out)
    print(f"All {len(scans)} scans:" if len(scans) > 1 else "The scan of the folder:")
    for each in outcomes:
        print(f"  {shown(each.file.name)}: {'failed' if each.error else each.line()}")
    for path in written:
        print(f"  {path}")
    return 1 if any(each.error for each in outcomes) else 0
