"""Masks of true grains from any container."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr

from napari_stemnmf.errors import ReadError
from napari_stemnmf.reading.masks import as_masks, load_masks

MASKS = np.zeros((3, 5, 6), bool)
MASKS[0, :2], MASKS[1, 1:4, 2:], MASKS[2, 4] = True, True, True
IMAGE = np.zeros((5, 6), "i4")
IMAGE[:2], IMAGE[3:, 1:] = 4, 9


def test_a_stack_in_hdf5_is_named_or_found(tmp_path: Path):
    with h5py.File(tmp_path / "film.h5", "w") as file:
        file["data"] = np.ones((5, 6, 8, 8), "u2")
        file["thickness"] = np.ones((3, 5, 6), "f2")
        file["truth/labels"] = MASKS
    for where in (f"{tmp_path}/film.h5::truth/labels", f"{tmp_path}/film.h5::labels", tmp_path / "film.h5"):
        masks = load_masks(where)
        assert masks.dtype == bool
        np.testing.assert_array_equal(masks, MASKS)


@pytest.mark.parametrize("dtype", ["?", "u1", "i8"])
@pytest.mark.parametrize("kind", ["npy", "npz", "tif", "zarr"])
def test_a_stack_in_any_container(tmp_path: Path, kind: str, dtype: str):
    stack, path = MASKS.astype(dtype), tmp_path / f"a.{kind}"
    if kind == "npy":
        np.save(path, stack)
    elif kind == "npz":
        np.savez_compressed(path, labels=stack, other=np.arange(4))
    elif kind == "tif":
        tifffile.imwrite(path, stack.astype("u2"), photometric="minisblack")
    else:
        zarr.open_group(path, mode="w").create_array("labels", data=stack)
    np.testing.assert_array_equal(load_masks(path), MASKS)


def test_a_label_image_gives_one_mask_a_label(tmp_path: Path):
    tifffile.imwrite(tmp_path / "labels.tif", IMAGE)
    masks = load_masks(tmp_path / "labels.tif")
    np.testing.assert_array_equal(masks, [IMAGE == 4, IMAGE == 9])


def test_where_the_background_is_negative_zero_is_a_grain(tmp_path: Path):
    np.save(tmp_path / "labels.npy", IMAGE - 4)
    np.testing.assert_array_equal(load_masks(tmp_path / "labels.npy"), [IMAGE == 4, IMAGE == 9])


def test_masks_without_a_pixel_are_left_out(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.concatenate([MASKS, np.zeros((2, 5, 6), bool)]))
    assert len(load_masks(tmp_path / "a.npy")) == 3


def test_what_is_no_mask_is_told(tmp_path: Path):
    with h5py.File(tmp_path / "film.h5", "w") as file:
        file["thickness"] = np.ones((3, 5, 6), "f4")
        file["data"] = np.ones((5, 6, 8, 8), "u2")
        file["a"], file["b"] = MASKS, MASKS
    for where, words in (
        ("film.h5::thickness", "float32 numbers, not masks"),
        ("film.h5::data", "holds no masks or label image 'data'; it holds"),
        ("film.h5::nothing", "holds no masks or label image 'nothing'"),
        ("film.h5", "several arrays that can be masks: /a .*, /b .*; name one"),
        ("film.txt", "There is no file"),
    ):
        with pytest.raises(ReadError, match=words):
            load_masks(f"{tmp_path}/{where}")
    np.save(tmp_path / "zero.npy", np.zeros((5, 6), int))
    with pytest.raises(ReadError, match="all of it is background"):
        load_masks(tmp_path / "zero.npy")


def test_the_truth_of_the_films_and_of_the_measured_silver(shared: Path):
    assert load_masks(f"{shared}/films/ag1_small.h5::labels").shape == (31, 100, 100)
    assert load_masks(shared / "real/SPED_Ag_labels.hspy").shape == (5, 64, 208)
    measured = load_masks(shared / "semireal/SPED_Ag_semireal_labels_64x208.npy")
    assert measured.shape == (5, 64, 208)
    assert measured.sum() == 64 * 208 - 1811


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (IMAGE.astype(float), "holds float64 numbers"),
        (np.stack([MASKS, MASKS]), "has 4 axes"),
        (np.zeros((5, 6), int), "holds no masks"),
        (np.zeros((0, 5, 6), bool), "holds no masks"),
    ],
)
def test_an_array_that_is_no_masks_is_called_by_its_name(array: np.ndarray, said: str):
    with pytest.raises(ReadError, match=f"^The layer {said}"):
        as_masks(array, "The layer")


@pytest.mark.parametrize("leading", [1, 2])
@pytest.mark.parametrize("kind", ["npy", "npz", "tif", "h5", "zarr"])
def test_axes_of_length_one_before_a_label_image_do_not_count(tmp_path: Path, kind: str, leading: int):
    image, path = IMAGE.reshape(*[1] * leading, 5, 6).astype("u2"), tmp_path / f"labels.{kind}"
    if kind == "npy":
        np.save(path, image)
    elif kind == "npz":
        np.savez(path, labels=image)
    elif kind == "tif":
        tifffile.imwrite(path, image)
    elif kind == "h5":
        with h5py.File(path, "w") as file:
            file["labels"] = image
    else:
        zarr.open_group(path, mode="w").create_array("labels", data=image)
    np.testing.assert_array_equal(load_masks(path), [IMAGE == 4, IMAGE == 9])


def test_a_stack_of_one_mask_stays_one_mask():
    np.testing.assert_array_equal(as_masks(MASKS[:1]), MASKS[:1])
    np.testing.assert_array_equal(as_masks(MASKS[:1].astype("u1") * 255), MASKS[:1])


def test_grains_that_overlap_may_lie_in_several_label_images():
    layers = np.stack([IMAGE, np.where(MASKS[1], 7, 0), np.zeros_like(IMAGE)])
    np.testing.assert_array_equal(as_masks(layers), [IMAGE == 4, IMAGE == 9, MASKS[1]])


def test_planes_that_are_neither_masks_nor_label_images_are_refused():
    thickness = np.stack([np.arange(30).reshape(5, 6)] * 2)
    with pytest.raises(ReadError, match=r"neither masks, .* nor label images"):
        as_masks(thickness)
