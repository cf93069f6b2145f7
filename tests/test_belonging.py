"""What belongs to what: a command gives the same in a used folder as in a fresh one, whatever was edited."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr

import napari_stemnmf as stem
from napari_stemnmf import pipeline, stages
from napari_stemnmf.analysis import Input
from napari_stemnmf.errors import AnalysisError, Cancelled, DataError, ReadError, StemNMFError
from napari_stemnmf.files import contents
from napari_stemnmf.files.locks import held
from napari_stemnmf.grains.editing import Edit
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.resuming import unfinished

SHAPE = (8, 8, 32, 32)


@pytest.fixture
def counts() -> np.ndarray:
    sample = stem.sample(scan_shape=SHAPE[:2], detector_shape=SHAPE[2:], seed=2)
    return np.asarray(sample.dataset.data.compute(scheduler="synchronous"))


@pytest.fixture
def scan(tmp_path: Path, counts: np.ndarray) -> Path:
    np.save(tmp_path / "scan.npy", counts)
    return tmp_path / "scan.npy"


def survey(file: Path, out: Path, **settings: str) -> stem.Analysis:
    recipe = stem.Recipe.preset("nmf").replaced({"features": "bd", **settings})
    return stem.analyse(stem.open(file), recipe, path=out / "a.stemnmf.h5", until="survey", workers=1)


def rewritten(path: Path, values: np.ndarray) -> None:
    """Written anew in place, with the former time of change."""
    before = path.stat()
    path.write_bytes(values.tobytes())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("kind", ["npy", "npz", "tif", "h5"])
@pytest.mark.parametrize("setting", ["beam_stop.mask", "preprocess.dark"])
def test_a_file_of_the_detector_that_was_edited_under_its_name(
    kind: str, setting: str, scan: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import tifffile

    file = tmp_path / f"detector.{kind}"

    def write(image: np.ndarray) -> str:
        if kind == "h5":
            with h5py.File(file, "w") as opened:
                opened["within/image"] = image
            return f"{file}::within/image"
        {"npy": np.save, "npz": lambda f, a: np.savez(f, image=a), "tif": tifffile.imwrite}[kind](file, image)
        return str(file)

    first = np.ones(SHAPE[2:], np.uint8)
    second = first.copy()
    second[:8] = 0
    where = write(first)
    before = survey(scan, tmp_path, **{setting: where})
    assert survey(scan, tmp_path, **{setting: where}).keys == before.keys
    write(second)
    after = survey(scan, tmp_path, **{setting: where})
    assert "has changed since the last run" in caplog.text
    (tmp_path / "fresh").mkdir()
    fresh = survey(scan, tmp_path / "fresh", **{setting: where})
    assert after.keys == fresh.keys
    changed = "survey" if setting == "preprocess.dark" else "probe"
    assert after.keys[changed] != before.keys[changed]
    np.testing.assert_array_equal(after.survey.mean, fresh.survey.mean)
    np.testing.assert_array_equal(after.probe.mask, fresh.probe.mask)
    file.unlink()
    with pytest.raises(ReadError, match="detector"):  # as in a fresh folder
        survey(scan, tmp_path, **{setting: where})


def test_a_mask_of_another_name_with_the_same_content_is_the_same(scan: Path, tmp_path: Path) -> None:
    mask = np.ones(SHAPE[2:], bool)
    mask[:4] = False
    np.save(tmp_path / "one.npy", mask)
    np.save(tmp_path / "two.npy", mask.astype(np.uint8) * 255)
    before = survey(scan, tmp_path, **{"beam_stop.mask": str(tmp_path / "one.npy")})
    after = survey(scan, tmp_path, **{"beam_stop.mask": str(tmp_path / "two.npy")})
    assert after.keys == before.keys


def test_a_mask_that_a_version_before_noted_by_name_only(scan: Path, tmp_path: Path) -> None:
    mask, path = tmp_path / "mask.npy", tmp_path / "a.stemnmf.h5"
    np.save(mask, np.ones(SHAPE[2:], bool))
    settings = {"beam_stop.mask": str(mask)}
    found = survey(scan, tmp_path, **settings)
    former = replace(found, files={})
    former = replace(former, keys={"survey": former.key_of("survey", former.recipe)})
    former = replace(former, keys={**former.keys, "probe": former.key_of("probe", former.recipe)})
    former.save(path)
    assert survey(scan, tmp_path, **settings).keys == former.keys  # older than the analysis: taken as it was
    assert survey(scan, tmp_path, **settings).keys == former.keys
    np.save(mask, np.eye(*SHAPE[2:], k=20) == 0)
    assert survey(scan, tmp_path, **settings).keys["probe"] != former.keys["probe"]


def test_an_analysis_of_a_version_before_stays_current_with_its_file(scan: Path, tmp_path: Path) -> None:
    found = survey(scan, tmp_path)
    mark = stem.open(scan).fingerprint()
    former = replace(found, input=replace(found.input, fingerprint=mark.former, parts=()))
    former = replace(former, keys={"survey": former.key_of("survey", former.recipe)})
    former = replace(former, keys={**former.keys, "probe": former.key_of("probe", former.recipe)})
    former.save(tmp_path / "a.stemnmf.h5")
    assert mark == mark.former
    assert mark == mark.former
    again = survey(scan, tmp_path)
    assert again.keys == former.keys
    assert again.input.parts
    os.utime(scan, (1, 1))
    assert survey(scan, tmp_path).keys == former.keys  # known by its content from now on


def test_a_copy_is_the_same_data_wherever_it_is(scan: Path, tmp_path: Path) -> None:
    before = survey(scan, tmp_path)
    (tmp_path / "elsewhere").mkdir()
    copy = Path(shutil.copyfile(scan, tmp_path / "elsewhere" / "renamed.npy"))
    os.utime(copy, (1, 1))
    after = survey(copy, tmp_path)
    assert after.keys == before.keys
    assert after.input.source == str(copy)
    assert stem.open(copy).fingerprint() == stem.open(scan).fingerprint()


def zarr_scan(folder: Path, counts: np.ndarray) -> tuple[Path, Callable[[], None]]:
    path = folder / "scan.zarr"
    array = zarr.create_group(path, zarr_format=2).create_array(
        "scan", shape=SHAPE, dtype=counts.dtype, chunks=(4, 4, 32, 32), compressors=None
    )
    array[:] = counts
    return path, lambda: rewritten(path / "scan" / "1.0.0.0", np.full((4, 4, 32, 32), 3, counts.dtype))


def linked_scan(folder: Path, counts: np.ndarray) -> tuple[Path, Callable[[], None]]:
    def write(values: np.ndarray) -> None:
        with h5py.File(folder / "data.h5", "w") as file:
            file["there"] = values

    write(counts)
    with h5py.File(folder / "scan.h5", "w") as file:
        file["data"] = h5py.ExternalLink("data.h5", "there")
    return folder / "scan.h5", lambda: write(counts[::-1])


def virtual_scan(folder: Path, counts: np.ndarray) -> tuple[Path, Callable[[], None]]:
    def write(name: str, values: np.ndarray) -> None:
        with h5py.File(folder / name, "w") as file:
            file["data"] = values

    write("part0.h5", counts[:4])
    write("part1.h5", counts[4:])
    layout = h5py.VirtualLayout(shape=SHAPE, dtype=counts.dtype)
    for i in range(2):
        layout[4 * i : 4 * i + 4] = h5py.VirtualSource(f"part{i}.h5", "data", shape=(4, *SHAPE[1:]))
    with h5py.File(folder / "scan.h5", "w") as file:
        file.create_virtual_dataset("data", layout)
    other = counts[4:].copy()
    other[1, 3] = 0  # no pattern that is looked at by itself
    return folder / "scan.h5", lambda: write("part1.h5", other)


def symbolic_scan(folder: Path, counts: np.ndarray) -> tuple[Path, Callable[[], None]]:
    np.save(folder / "one.npy", counts)
    np.save(folder / "two.npy", counts[:, ::-1])
    link = folder / "scan.npy"
    link.symlink_to("one.npy")

    def retarget() -> None:
        link.unlink()
        link.symlink_to("two.npy")

    return link, retarget


def empad_scan(folder: Path, counts: np.ndarray) -> tuple[Path, Callable[[], None]]:
    pytest.importorskip("rsciio")
    frames = np.zeros((16, 130, 128), np.float32)
    frames[:, :32, :32] = counts.reshape(-1, 32, 32)[:16]
    frames.tofile(folder / "scan_x4_y4.raw")
    (folder / "scan.xml").write_text(
        '<root><raw_file filename="scan_x4_y4.raw"/><pix_x>4</pix_x><pix_y>4</pix_y></root>'
    )
    frames[6, :32, :32] = 7
    return folder / "scan.xml", lambda: frames.tofile(folder / "scan_x4_y4.raw")


@pytest.mark.parametrize("make", [zarr_scan, linked_scan, virtual_scan, symbolic_scan, empad_scan])
def test_a_scan_whose_parts_were_edited_is_computed_again(
    make: Callable[[Path, np.ndarray], tuple[Path, Callable[[], None]]],
    counts: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(contents, "YOUNG_SECONDS", 0.0)
    path, edit = make(tmp_path, counts)
    mark = stem.open(path).fingerprint()
    before = survey(path, tmp_path)
    assert survey(path, tmp_path).keys == before.keys
    time.sleep(0.02)
    edit()
    assert stem.open(path).fingerprint() != mark
    after = survey(path, tmp_path)
    assert "has changed since" in caplog.text
    assert not np.array_equal(after.survey.pattern_sum, before.survey.pattern_sum)
    (tmp_path / "fresh").mkdir()
    np.testing.assert_array_equal(after.survey.mean, survey(path, tmp_path / "fresh").survey.mean)
    assert survey(path, tmp_path).keys == after.keys


def test_the_header_beside_the_data_belongs_to_it(tmp_path: Path) -> None:
    from napari_stemnmf.reading.beside import files_of

    for name in ("a.mib", "a.hdr", "b_1.ser", "b.emi", "c_000.tvips", "c_001.tvips", "20200101_1_movie.mrc",
                 "20200101_1_info.txt"):  # fmt: skip
        (tmp_path / name).touch()
    scan = stem.Dataset.from_array(np.ones(SHAPE))
    found = {
        name: [Path(file).name for file in files_of(tmp_path / name, name.rpartition(".")[2], scan)]
        for name in ("a.mib", "b_1.ser", "b.emi", "c_000.tvips", "20200101_1_movie.mrc")
    }
    assert found == {
        "a.mib": ["a.mib", "a.hdr"],
        "b_1.ser": ["b_1.ser", "b.emi"],
        "b.emi": ["b.emi", "b_1.ser"],
        "c_000.tvips": ["c_000.tvips", "c_001.tvips"],
        "20200101_1_movie.mrc": ["20200101_1_movie.mrc", "20200101_1_info.txt"],
    }


def test_a_scan_that_is_calibrated_otherwise_by_now_is_computed_again(scan: Path, tmp_path: Path) -> None:
    dataset = stem.open(scan)
    before = survey(scan, tmp_path)
    axes = (*dataset.axes[:2], *(replace(axis, scale=0.02, unit="1/nm") for axis in dataset.axes[2:]))
    begun = pipeline.start(replace(dataset, axes=axes), before.recipe, before)
    assert begun.survey is None
    assert pipeline.start(dataset, before.recipe, before).is_current("survey")


def test_a_review_of_a_scan_that_has_changed_is_not_thrown_away(scan: Path, tmp_path: Path, counts: np.ndarray) -> None:
    path = tmp_path / "a.stemnmf.h5"
    found = survey(scan, tmp_path)
    grains = Grains.from_masks(np.ones((1, *SHAPE[:2]), bool))
    pipeline.edit(replace(found, grains={"bd": grains}), "bd", Edit("accept", (1,))).save(path)
    np.save(scan, counts[::-1])
    with pytest.raises(AnalysisError, match=r"has changed since .*reviewed by hand"):
        survey(scan, tmp_path)
    assert stem.Analysis.load(path).reviews["bd"].edits


def test_another_scan_is_refused_as_before(scan: Path, tmp_path: Path, counts: np.ndarray) -> None:
    survey(scan, tmp_path)
    np.save(tmp_path / "other.npy", counts[::-1])
    with pytest.raises(AnalysisError, match="other data"):
        survey(tmp_path / "other.npy", tmp_path)


def test_what_cannot_be_had_does_not_stop_what_is_there(scan: Path) -> None:
    dataset = stem.open(scan)
    bad = {"aa.featurize.rings": "30,40"}  # beyond the detector's edge
    recipe = stem.Recipe.preset("nmf").replaced({"features": "aa,bd", **bad})
    before = stem.analyse(dataset, recipe.replaced({"features": "bd"}), until="featurize")
    after = stem.analyse(dataset, recipe, analysis=before, until="featurize")
    fresh = stem.analyse(dataset, recipe, until="featurize")
    assert after.failed == fresh.failed
    assert set(after.features) == set(fresh.features) == {"bd"}
    with pytest.raises(DataError):
        stem.analyse(dataset, recipe.replaced({"features": "aa"}), analysis=before, until="featurize")


def test_overwriting_replaces_the_analysis_when_the_run_has_come_to_its_end(scan: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.stemnmf.h5"
    survey(scan, tmp_path)
    whole = path.read_bytes()
    recipe, cancel = stem.Recipe.preset("nmf").replaced({"features": "bd"}), threading.Event()
    again = {"path": path, "overwrite": True, "workers": 1}

    def stop(progress: object) -> None:
        if getattr(progress, "stage", "") == "Disks":
            cancel.set()

    with pytest.raises(Cancelled, match="is as it was"):
        stem.analyse(stem.open(scan), recipe, progress=stop, cancel=cancel, **again)
    assert path.read_bytes() == whole
    assert unfinished(path).exists()
    with pytest.raises(StemNMFError):
        stem.analyse(stem.open(scan), recipe.replaced({"preprocess.dark": "gone.npy"}), **again)
    assert path.read_bytes() == whole
    seen: list[str] = []
    found = stem.analyse(stem.open(scan), recipe, until="disks", progress=lambda p: seen.append(p.stage), **again)
    assert "Survey" not in seen  # it goes on from what was finished
    assert stem.Analysis.load(path).keys == found.keys
    assert not unfinished(path).exists()

    path.unlink()
    path.mkdir()
    for overwrite in (False, True):
        with pytest.raises(AnalysisError, match="is a folder"):
            stem.analyse(stem.open(scan), recipe, path=path, overwrite=overwrite)
    thesis = tmp_path / "thesis.h5"
    thesis.write_text("ten years of work")
    with pytest.raises(AnalysisError, match="not a napari-stemnmf analysis"):
        stem.analyse(stem.open(scan), recipe, path=thesis, overwrite=True)


def test_a_file_that_another_writes_to_is_left_alone(scan: Path, tmp_path: Path) -> None:
    path, said = tmp_path / "a.stemnmf.h5", []

    def other() -> None:
        try:
            survey(scan, tmp_path)
        except AnalysisError as error:
            said.append(str(error))

    with held(path, "the first run"):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert "is being written by the first run" in said[0]
    assert not path.exists()


def test_a_run_with_less_keeps_less(scan: Path, tmp_path: Path) -> None:
    survey(scan, tmp_path, features="aa,bd")
    survey(scan, tmp_path, features="bd")
    assert stem.Analysis.load(tmp_path / "a.stemnmf.h5").recipe.features == ("bd",)


def test_keys_of_other_settings_do_not_change_with_a_file_noted(scan: Path, tmp_path: Path) -> None:
    found = survey(scan, tmp_path)
    assert found.files == {}
    other = found.recipe.replaced({"beam_stop.mask": "not-looked-at.npy"})
    assert not found.is_current("probe", other)
    assert stages.file_of(other, "beam_stop") == "not-looked-at.npy"
    assert Input.of(stem.open(scan), found.input).fingerprint == found.input.fingerprint


@pytest.fixture(autouse=True)
def _warnings_are_heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
