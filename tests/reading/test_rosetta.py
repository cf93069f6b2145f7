"""Vendors' formats, as far as files can be written here; measured ones are in test_shared_files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf.errors import ReadError, ScanShapeError

MIB_HEADER = (
    "MQ1,000001,00384,01,0032,0032,U16,   1x1,01,2021-04-15 15:01:38.000000,0.001000,0,0,0,2.000000E+0,5.110000E+2,"
    "0.000000E+0,0.000000E+0,0.000000E+0,0.000000E+0,0.000000E+0,0.000000E+0,3RX,011,511,000,000,000,000,000,000,175,"
    "010,200,125,100,100,093,100,099,030,128,004,255,140,128,191,179,511,511,MQ1A,2021-04-15T14:01:38.000000651Z,"
    "1000000ns,12,"
)


def write_empad(folder: Path, rows: int = 3, columns: int = 4, *, raw: str = "scan_x4_y3.raw") -> np.ndarray:
    data = np.random.default_rng(0).random((rows, columns, 130, 128), np.float32)
    data.tofile(folder / "scan_x4_y3.raw")
    (folder / "scan.xml").write_text(
        f'<root name="a"><type>scan</type><pix_x>4</pix_x><pix_y>3</pix_y><raw_file filename="{raw}"/></root>'
    )
    return data[:, :, :128]


def write_mib(path: Path, frames: int = 12) -> np.ndarray:
    data = np.random.default_rng(0).poisson(5, (frames, 32, 32)).astype(">u2")
    with path.open("wb") as file:
        for i, frame in enumerate(data):
            header = MIB_HEADER.replace("000001", f"{i + 1:06d}").replace("38.000000", f"38.{i:06d}")
            file.write(header.ljust(384, "\0").encode() + frame.tobytes())
    return data[:, ::-1]


class TestEmpad:
    @pytest.fixture(autouse=True)
    def _needs(self):
        pytest.importorskip("rsciio")

    def test_patterns_come_without_their_footer(self, tmp_path: Path):
        data = write_empad(tmp_path)
        np.testing.assert_array_equal(stem.open(tmp_path / "scan.xml").data.compute(), data)

    @pytest.mark.parametrize("rows", [2, 4])
    def test_a_description_that_lies_about_the_size_is_not_believed(self, tmp_path: Path, rows: int):
        write_empad(tmp_path, rows=rows)
        with pytest.raises(ReadError, match=f"tells of 12 patterns, but scan_x4_y3.raw has room for {rows * 4}"):
            stem.open(tmp_path / "scan.xml")

    def test_raw_data_out_of_the_folder_is_not_read(self, tmp_path: Path):
        (tmp_path / "here").mkdir()
        write_empad(tmp_path)
        write_empad(tmp_path / "here", raw="../scan_x4_y3.raw")
        with pytest.raises(ReadError, match="outside its own folder"):
            stem.open(tmp_path / "here" / "scan.xml")

    @pytest.mark.parametrize("text", ["<root><raw_file", "<a/>", "<root><raw_file filename='x.raw'/></root>", "text"])
    def test_other_xml_is_refused(self, tmp_path: Path, text: str):
        (tmp_path / "scan.xml").write_text(text)
        (tmp_path / "x.raw").write_bytes(b"1")
        with pytest.raises(ReadError):
            stem.open(tmp_path / "scan.xml")


def write_empad_12(folder: Path, rows: int, columns: int, search: tuple, acquire: tuple) -> Path:
    """A recording of software 1.2; (rows, columns, size) of the scan before and in the acquisition."""
    np.zeros((rows * columns, 130, 128), np.float32).tofile(folder / f"scan_x{columns}_y{rows}.raw")
    parameters = "".join(
        f'<scan_parameters mode="{mode}"><scan_resolution_x>{x}</scan_resolution_x>'
        f"<scan_resolution_y>{y}</scan_resolution_y><scan_size>{size}</scan_size></scan_parameters>"
        for mode, (y, x, size) in (("search", search), ("acquire", acquire))
    )
    (folder / "scan.xml").write_text(
        '<root name="a"><timestamp isoformat="2026-03-25T16:47:52.5"/><software_version>1.2.2</software_version>'
        f'<raw_file filename="scan_x{columns}_y{rows}.raw"/>{parameters}<iom_measurements><full_scan_field_of_view>'
        "<scale_factor>0.72</scale_factor><x>1e-06</x><y>1e-06</y></full_scan_field_of_view></iom_measurements></root>"
    )
    return folder / "scan.xml"


class TestEmpadSteps:
    """Step = field / scale factor * scan size / positions along the larger side (RosettaSciIO's pull request 495)."""

    @pytest.fixture(autouse=True)
    def _needs(self):
        pytest.importorskip("rsciio")

    @pytest.mark.parametrize(
        ("rows", "columns", "search", "acquire", "size"),
        [
            (5, 3, (8, 8, 1.0), (5, 3, 0.6), 0.6),
            (3, 5, (3, 5, 0.4), (8, 8, 1.0), 0.4),  # taken with the settings of the search
            (4, 4, (8, 8, 0.2), (4, 4, 1.0), 1.0),
            (1, 5, (8, 8, 1.0), (1, 5, 0.8), 0.8),
            (5, 1, (8, 8, 1.0), (5, 1, 0.8), 0.8),
        ],
    )
    def test_the_scan_size_counts(self, tmp_path: Path, rows: int, columns: int, search, acquire, size: float):
        dataset = stem.open(write_empad_12(tmp_path, rows, columns, search, acquire))
        assert dataset.shape == (rows, columns, 128, 128)
        for axis in dataset.axes[:2]:
            assert (axis.scale, axis.unit) == (pytest.approx(1000 / 0.72 * size / max(rows, columns)), "nm")
        assert "notes" not in dataset.metadata

    def test_two_sizes_for_one_shape_are_told(self, tmp_path: Path):
        dataset = stem.open(write_empad_12(tmp_path, 4, 5, (4, 5, 0.8), (4, 5, 0.6)))
        assert dataset.axes[0].scale == pytest.approx(1000 / 0.72 * 0.6 / 5)
        assert "scan size 0.6 (acquire); the file also gives 0.8" in dataset.metadata["notes"]


class TestMib:
    @pytest.fixture(autouse=True)
    def _needs(self):
        pytest.importorskip("rsciio")

    def test_a_scan_shape_is_taken(self, tmp_path: Path):
        data = write_mib(tmp_path / "a.mib")
        dataset = stem.open(tmp_path / "a.mib", scan_shape=(3, 4))
        assert dataset.dtype == np.dtype("u2")
        np.testing.assert_array_equal(dataset.data.compute(), data.reshape(3, 4, 32, 32))
        with pytest.raises(ScanShapeError, match=r"15 patterns, but a.mib has 12"):
            stem.open(tmp_path / "a.mib", scan_shape=(3, 5))

    def test_a_file_that_breaks_off_is_told_and_what_is_there_can_be_opened(self, tmp_path: Path):
        data = write_mib(tmp_path / "a.mib")
        with (tmp_path / "a.mib").open("r+b") as file:
            file.truncate((384 + 2048) * 9 + 1000)
        with pytest.raises(ReadError, match="truncated: it holds 9 whole patterns"):
            stem.open(tmp_path / "a.mib")
        dataset = stem.open(tmp_path / "a.mib", scan_shape=(2, 4))
        np.testing.assert_array_equal(dataset.data.compute(), data[:8].reshape(2, 4, 32, 32))

    def test_fewer_patterns_than_the_hdr_tells_of_are_a_truncated_file(self, tmp_path: Path):
        write_mib(tmp_path / "a.mib")
        (tmp_path / "a.hdr").write_text("HDR,\nFrames in Acquisition (Number):\t20\nFrames per Trigger (Number):\t4\n")
        with pytest.raises(ReadError, match="12 whole patterns, of 20"):
            stem.open(tmp_path / "a.mib")


def test_without_rosettasciio_it_says_what_to_install(tmp_path: Path):
    (tmp_path / "scan.blo").write_bytes(b"IMGBLO" + bytes(2000))
    code = (
        "import sys; sys.modules['rsciio'] = None\n"
        "import napari_stemnmf as stem\n"
        "from napari_stemnmf.errors import ReadError\n"
        "try: stem.open(sys.argv[1])\n"
        "except ReadError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "scan.blo")], capture_output=True, text=True, check=True
    )
    assert "scan.blo is a NanoMEGAS block file" in done.stdout
    assert "pip install 'napari-stemnmf[formats]'" in done.stdout


def test_a_lone_ser_has_no_scale_of_the_detector(shared: Path, tmp_path: Path):
    pytest.importorskip("rsciio")
    source = next((shared / "real" / "TIA_5x5x256x256").glob("*_2.ser"))
    shutil.copy(source, tmp_path / "alone_2.ser")
    dataset = stem.open(tmp_path / "alone_2.ser")
    assert dataset.shape == (5, 5, 256, 256)
    assert [axis.unit for axis in dataset.axes] == ["nm", "nm", "px", "px"]
    assert dataset.axes[2].assumed


@pytest.mark.parametrize("share", [0.001, 0.5, 0.95, 0.9999])
def test_a_truncated_emi_gives_its_ser_or_our_error(shared: Path, tmp_path: Path, share: float):
    pytest.importorskip("rsciio")
    for file in (shared / "real" / "TIA_5x5x256x256").iterdir():
        shutil.copy(file, tmp_path)
    emi = next(tmp_path.glob("*.emi"))
    os.chmod(emi, 0o644)
    os.truncate(emi, int(emi.stat().st_size * share))
    try:
        dataset = stem.open(emi)
    except ReadError:
        return
    assert dataset.shape == (5, 5, 256, 256)
    assert all(axis.assumed or axis.scale < 10 for axis in dataset.axes)


@pytest.mark.parametrize(
    "file",
    [
        "readers/blockfile/test1.blo",
        "readers/tvips/test_tvips_2233_000.tvips",
        "semireal/SPED_Ag_semireal_12x16x56x56_nion.dm4",
        "readers/empad/map4x4.xml",
        "readers/quantumdetector/001_4x2_6bit.mib",
        "real/TIA_5x5x256x256/16x16-diffraction_imagel_5x5x256x256_EDS_2.ser",
        "readers/pantarhei/panta_rhei_sample.prz",
        "readers/mrc/20241021_00405_movie.mrc",
        "readers/emd/py4DSTEM_size2x3x4x5.h5",
        "readers/written_by_rsciio/semireal_12x16x56x56.hspy",
        "readers/written_by_rsciio/semireal_12x16x56x56_QRYX.tif",
        "readers/written_by_rsciio/semireal_12x16x56x56.npy",
        "semireal/aamirmalik_orient4d_scan_32.npz",
    ],
)
@pytest.mark.parametrize("share", [0, 0.001, 0.02, 0.5, 0.95, 0.9999])
def test_a_truncated_file_raises_our_errors_only(shared: Path, tmp_path: Path, file: str, share: float):
    pytest.importorskip("rsciio")
    source = shared / file
    for beside in source.parent.iterdir():
        if beside.is_file() and beside.stat().st_size < 8e6 and beside.name.startswith(source.name[:6]):
            shutil.copy(beside, tmp_path)
    cut = tmp_path / source.name
    shutil.copy(source, cut)
    os.chmod(cut, 0o644)
    os.truncate(cut, int(source.stat().st_size * share))
    with pytest.raises(ReadError) as caught:
        stem.open(cut).data.compute(scheduler="synchronous")
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")
