"""Every file of the shared data: what opens, as what; what asks for its scan shape; what is refused, in which words.

The truth was worked out from the files' own headers (h5dump, struct, the vendors' text files), not from this package.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf.errors import ReadError, ScanShapeError

SEMIREAL = (12, 16, 56, 56)
NM, INM, PX = "nm", "1/nm", "px"
PIXELS = ((1.0, PX), (1.0, PX))
AG_Q = (0.53456, INM)  # 0.053456 1/Å
MERLIN = "_merlin_test_roi_sig256x{}_nav4x2_hot_pixel_52x_39y.mib"
AG = ((20.372, NM), AG_Q)

SCANS = {  # file: shape, dtype, (step of the scan, step of the detector); a step of two numbers is (y, x)
    "films/ag1_small.h5": ((100, 100, 126, 126), "u2", ((0.5, NM), (0.2, INM))),
    "films/ag2_small.h5": ((100, 100, 126, 126), "u2", ((0.5, NM), (0.2, INM))),
    "films/ag3_small.h5": ((100, 100, 126, 126), "u2", ((0.5, NM), (0.2, INM))),
    "readers/arina/test_00_master.h5": ((4, 4, 192, 192), "u4", ((0.13915206, NM), (1.0, PX))),
    "readers/blockfile/test1.blo": ((3, 2, 144, 144), "u1", ((12.8, NM), (100 / 6226, "cm"))),
    "readers/blockfile/test2.blo": ((2, 3, 5, 5), "u1", ((64.0, NM), (100 / 6226, "cm"))),
    # Prismatic labels ångström as nm: 1/0.18416 is silicon's 5.43 Å
    "readers/emd/Si100_4D.emd": ((11, 11, 8, 8), "f4", ((0.05, NM), (10 / 5.43, INM))),
    "readers/emd/py4DSTEM_size2x3x4x5.h5": ((2, 3, 4, 5), "f4", ((0.126796875, NM), (0.442515666, INM))),
    "readers/emd/py4DSTEM_size2x3x4x5_bf20x30.h5": ((2, 3, 4, 5), "f4", ((0.126796875, NM), (0.442515666, INM))),
    "readers/empad/map4x4.xml": ((4, 4, 128, 128), "f4", ((4566.34265 / 4, NM), (0.182653706, INM))),
    "readers/mrc/20241021_00405_movie.mrc": ((4, 8, 4, 8), "u2", (((0.2, 0.1), NM), (0.1, INM))),
    "readers/quantem_fixtures/fixture_master.h5": ((1, 1, 64, 64), "u2", PIXELS),
    "readers/quantumdetector/001_4x2_6bit.mib": ((2, 4, 256, 256), "u1", PIXELS),
    "readers/quantumdetector/002_4x2_6bit_roi128.mib": ((2, 4, 128, 256), "u1", PIXELS),
    "readers/quantumdetector/002_merlin_test_roi_sig256x128_nav4x2_hot_pixel_52x_39y.mib": (
        (2, 4, 128, 256),
        "u2",
        PIXELS,
    ),
    "readers/quantumdetector/003_merlin_test_roi_sig256x64_nav4x2_hot_pixel_52x_39y.mib": (
        (2, 4, 64, 256),
        "u2",
        PIXELS,
    ),
    "readers/written_by_rsciio/semireal_12x16x56x56.blo": (SEMIREAL, "u1", ((20.372, NM), (100 / 1870, "cm"))),
    "readers/written_by_rsciio/semireal_12x16x56x56.emd": (SEMIREAL, "u2", AG),
    "readers/written_by_rsciio/semireal_12x16x56x56.hspy": (SEMIREAL, "u2", AG),
    "readers/written_by_rsciio/semireal_12x16x56x56.npy": (SEMIREAL, "u2", PIXELS),
    "readers/written_by_rsciio/semireal_12x16x56x56.nxs": (SEMIREAL, "u2", AG),
    "readers/written_by_rsciio/semireal_12x16x56x56.zspy": (SEMIREAL, "u2", AG),
    "readers/written_by_rsciio/semireal_12x16x56x56_QRYX.tif": (SEMIREAL, "u2", PIXELS),
    "real/TIA_5x5x256x256/16x16-diffraction_imagel_5x5x256x256_EDS.emi": (
        (5, 5, 256, 256),
        "i4",
        ((1.873900423719105, NM), (0.17435342226657105, INM)),
    ),
    "real/TIA_5x5x256x256/16x16-diffraction_imagel_5x5x256x256_EDS_2.ser": (
        (5, 5, 256, 256),
        "i4",
        ((1.873900423719105, NM), (0.17435342226657105, INM)),
    ),
    "real/pixstem_fpd_file_2x2x256x256.hdf5": ((2, 2, 256, 256), "u2", PIXELS),
    "real/steel_NBED_subset_2x2x256x256.hspy": ((2, 2, 256, 256), "u2", ((2.0, NM), (0.1261, INM))),
    "semireal/Cu_realmap_simDP_59x111x64x64.hspy": ((59, 111, 64, 64), "u2", ((2.7, NM), (0.375, INM))),
    "semireal/SPED_Ag_semireal_12x16x56x56_nion.dm4": (SEMIREAL, "u2", AG),
    "semireal/SPED_Ag_semireal_64x208x56x56.hspy": ((64, 208, 56, 56), "u2", AG),
    "semireal/SPED_Ag_semireal_crop64x64.zspy": ((64, 64, 56, 56), "u2", AG),
    "semireal/aamirmalik_orient4d_scan_32.npz": ((32, 32, 64, 64), "u2", PIXELS),
    "semireal/braggdisks_rendered_80x58x72x72.hspy": ((80, 58, 72, 72), "u2", ((1.0, PX), (0.41666666666666, INM))),
}

STACKS = {  # file: number of patterns, pattern, dtype, step of the detector
    "readers/arina/test_00_data_000001.h5": (16, (192, 192), "u4", (1.0, PX)),
    "readers/mrc/Custom_movie.mrc": (30, (16, 16), "u2", (1.0, PX)),
    "readers/mrc/ROI_Random_Scan_movie.mrc": (348, (16, 16), "u2", (1.0, PX)),
    "readers/quantem_fixtures/test_arina_data_000001.h5": (16, (24, 24), "u4", (1.0, PX)),
    "readers/quantem_fixtures/test_arina_master.h5": (16, (24, 24), "u4", (1.0, PX)),
    "readers/quantumdetector/Quad_9_Frame_CounterDepth_6_Rows_256.mib": (9, (512, 512), "u1", (1.0, PX)),
    "readers/quantumdetector/Single_9_Frame_CounterDepth_12_Rows_256.mib": (9, (256, 256), "u2", (1.0, PX)),
    "readers/tvips/test_tvips_2233_000.tvips": (4, (3, 3), "u2", (1.0, PX)),
    "readers/tvips/test_tvips_2345_000.tvips": (6, (4, 5), "u2", (1.0, PX)),
    "readers/tvips/test_tvips_2345_split_000.tvips": (6, (4, 5), "u2", (1.0, PX)),
    "readers/written_by_rsciio/semireal_12x16x56x56_000.tvips": (192, (56, 56), "u2", (1.0, PX)),
    "readers/written_by_rsciio/semireal_192pages_56x56.tif": (192, (56, 56), "u2", (1.0, PX)),
    "real/SPED_Ag_labels_sum_signal.hspy": (5, (112, 112), "u4", (0.2672830388733737, INM)),
}

REFUSED = {  # file, or files: words of the sentence
    "readers/arina/MEA_ptycho_15.h5": "2-D image of 24 x 24",
    "readers/arina/MEA_ptycho_15_master.h5": "MEA_ptycho_15_data_000001.h5, which is not there",
    "readers/arina/test_00.h5": "holds no array",
    "readers/de_data/**/*.xml": "describes no EMPAD scan",
    "readers/de_data/**/*.txt": "no format that is known",
    "readers/de_data/**/*.mrc": "32766 images",
    "readers/de_data/**/*.seq": "StreamPix",
    "readers/de_data/**/*.metadata": "no format that is known",
    "readers/empad/EMPAD_v1.2.2_x32_y64_size0.8.xml": "needs scan_x32_y64.raw, which is not there",
    "readers/empad/map128x128_version1.2.0.xml": "needs scan_x128_y128.raw, which is not there",
    "readers/empad/stack_images.xml": "needs series_x10.raw, which is not there",
    "readers/empad/scan_x4_y4.raw": "open the .xml file",
    "readers/mrc/20241021_00405_0_Virt 0_sum.mrc": "2-D image of 4 x 8",
    "readers/mrc/20241021_00405_ext1_Ext 1.mrc": "2-D image of 4 x 8",
    "readers/mrc/20241021_00405_final.mrc": "2-D image of 4 x 8",
    "readers/mrc/ROI_Random_Scan_Sum.mrc": "2-D image of 29 x 12",
    "readers/mrc/*.txt": "no format that is known",
    "readers/mrc/*.csv": "no format that is known",
    "readers/pantarhei/*.prz": "2-D image of 16 x 16",
    "readers/quantem_fixtures/fixture_data_000001.h5": "2-D image of 64 x 64",
    "readers/quantem_fixtures/fixture_velox.emd": "2-D image of 2 x 3",
    "readers/quantumdetector/*.hdr": "header of a .mib file",
    "readers/quantumdetector/*.zip": "unpack it",
    "readers/tia/new/*": "spectra (5 x 5 x 4000)",
    "readers/tvips/test_tvips_2345_split_001.tvips": "part 1 of a recording",
    "readers/tvips/test_tvips_2345_split_002.tvips": "part 2 of a recording",
    "real/SPED_Ag_labels.hspy": "5 masks of 64 x 208",
    "real/TIA_5x5x256x256/*_1.ser": "spectra (5 x 5 x 4000)",
    "real/py4DSTEM_braggdisks_cali_80x58.h5": "lists of varying length at 80 x 58 positions",
    "real/single_patterns/*.tif": "2-D image of 256 x 256",
    "real/single_patterns/*.hspy": "2-D image of 512 x 512",
    "semireal/Cu_realmap_euler_59x111x3.npy": "map of 59 x 111 positions with 3 values",
    "semireal/SPED_Ag_semireal_labels_64x208.npy": "2-D image of 64 x 208",
    "README.md": "no format that is known",
}

THROUGH_ROSETTASCIIO = (".mib", ".blo", ".dm4", ".xml", ".tvips", ".ser", ".emi", ".prz")


def need_rosettasciio(file: str) -> None:
    if file.endswith(THROUGH_ROSETTASCIIO):
        pytest.importorskip("rsciio")


def check_axes(dataset: stem.Dataset, position: int, step: tuple) -> None:
    scales, unit = (step[0], step[0]) if isinstance(step[0], float) else step[0], step[1]
    for axis, scale in zip(dataset.axes[position : position + 2], scales, strict=True):
        assert axis.unit == unit
        assert axis.scale == pytest.approx(scale, rel=1e-6)
        assert axis.assumed == (unit == PX)


@pytest.mark.parametrize("file", SCANS)
def test_a_scan_opens_with_its_shape_type_scale_and_unit(shared: Path, file: str):
    need_rosettasciio(file)
    shape, dtype, (scan, q) = SCANS[file]
    dataset = stem.open(shared / file)
    assert dataset.shape == shape
    assert dataset.dtype == np.dtype(dtype)
    assert dataset.dtype.isnative
    assert dataset.data.numblocks[2:] == (1, 1)
    assert [axis.name for axis in dataset.axes] == ["scan_y", "scan_x", "q_y", "q_x"]
    check_axes(dataset, 0, scan)
    check_axes(dataset, 2, q)
    last = dataset.pattern(shape[0] - 1, shape[1] - 1)
    assert last.shape == shape[2:]
    assert last.dtype == dataset.dtype


@pytest.mark.parametrize("file", STACKS)
def test_a_stack_asks_for_its_scan_shape_and_takes_one(shared: Path, file: str):
    need_rosettasciio(file)
    count, frame, dtype, q = STACKS[file]
    with pytest.raises(ScanShapeError, match=f"stack of {count} patterns"):
        stem.open(shared / file)
    with pytest.raises(ScanShapeError, match=f"has {count}"):
        stem.open(shared / file, scan_shape=(count, 2))
    dataset = stem.open(shared / file, scan_shape=(1, count))
    assert dataset.shape == (1, count, *frame)
    assert dataset.dtype == np.dtype(dtype)
    check_axes(dataset, 0, (1.0, PX))
    check_axes(dataset, 2, q)
    assert dataset.data.compute().shape == (1, count, *frame)


@pytest.mark.parametrize("pattern", REFUSED)
def test_what_is_no_scan_is_refused_in_one_sentence(shared: Path, pattern: str):
    files = [f for f in shared.glob(pattern) if f.is_file()]
    assert files
    for file in files:
        need_rosettasciio(file.name)
        with pytest.raises(ReadError) as caught:
            stem.open(file)
        sentence = str(caught.value)
        assert REFUSED[pattern] in sentence
        assert file.name in sentence
        assert sentence.endswith(".")
        assert "\n" not in sentence


def test_no_shared_file_is_forgotten(shared: Path):
    known = {str(f.relative_to(shared)) for p in REFUSED for f in shared.glob(p)} | set(SCANS) | set(STACKS)
    every = [f for folder in ("films", "readers", "real", "semireal") for f in (shared / folder).rglob("*")]
    stores = {f.parent for f in every if f.name == ".zgroup" and f.parent.suffix == ".zspy"}
    files = {f for f in every if f.is_file() and not any(s in f.parents for s in stores)} | stores
    assert {str(f.relative_to(shared)) for f in files} - known == set()


@pytest.mark.parametrize("ending", [".emd", ".hspy", ".nxs", ".zspy", "_QRYX.tif", "_000.tvips", ".dm4", ".tif"])
def test_all_containers_of_one_scan_give_the_same_counts(shared: Path, ending: str):
    need_rosettasciio(ending)
    folder = shared / "readers/written_by_rsciio"
    truth = np.load(folder / "semireal_12x16x56x56.npy")
    names = {
        ".dm4": shared / "semireal/SPED_Ag_semireal_12x16x56x56_nion.dm4",
        ".tif": folder / "semireal_192pages_56x56.tif",
    }
    dataset = stem.open(names.get(ending, folder / f"semireal_12x16x56x56{ending}"), scan_shape=(12, 16))
    np.testing.assert_array_equal(dataset.data.compute(), truth)


def test_the_centre_that_a_film_tells_is_the_origin_of_its_detector_axes(shared: Path):
    q_y, q_x = stem.open(shared / "films/ag1_small.h5").axes[2:]
    assert -q_y.offset / q_y.scale == pytest.approx(62.75)
    assert -q_x.offset / q_x.scale == pytest.approx(62.75)


def test_of_the_thicknesses_of_a_prismatic_simulation_the_last_is_opened(shared: Path):
    dataset = stem.open(shared / "readers/emd/Si100_4D.emd")
    assert dataset.source.endswith("CBED_array_depth0001/datacube")
    assert "depth0000" in dataset.metadata["other_thicknesses"]
    first = stem.open(f"{shared}/readers/emd/Si100_4D.emd::CBED_array_depth0000/datacube")
    assert not np.array_equal(first.pattern(5, 5), dataset.pattern(5, 5))


def test_a_big_endian_file_gives_the_counts_of_its_own_sum(shared: Path):
    h5py = pytest.importorskip("h5py")
    file = shared / "real/pixstem_fpd_file_2x2x256x256.hdf5"
    with h5py.File(file) as opened:
        truth = opened["fpd_expt/fpd_sum_im/data"][..., 0]
    sums = stem.open(file).data.sum(axis=(2, 3)).compute()
    np.testing.assert_array_equal(sums, truth)


def test_the_movie_of_a_scan_holds_its_frames_in_order(shared: Path):
    file = shared / "readers/mrc/20241021_00405_movie.mrc"
    truth = np.fromfile(file, "<u2", offset=1024).reshape(4, 8, 4, 8)
    np.testing.assert_array_equal(stem.open(file).data.compute(), truth)


def test_empad_patterns_are_without_their_footer(shared: Path):
    pytest.importorskip("rsciio")
    raw = np.fromfile(shared / "readers/empad/scan_x4_y4.raw", "<f4").reshape(4, 4, 130, 128)
    np.testing.assert_array_equal(stem.open(shared / "readers/empad/map4x4.xml").data.compute(), raw[:, :, :128])
