"""Labels and masks of any tool come in as grains: the same masks, by the same numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_stemnmf.errors import ReadError
from napari_stemnmf.export.annotations import run_lengths
from napari_stemnmf.export.polygons import area, polygons, straightened
from napari_stemnmf.reading.given_grains import GivenGrains, grains_in, load_grains

SHAPE = (7, 9)


def labels() -> np.ndarray:
    image = np.zeros(SHAPE, np.uint16)
    image[1:3, 1:4], image[4:6, 2:9] = 5, 12
    return image


def masks_of(found: GivenGrains) -> dict[int, np.ndarray]:
    planes = {}
    for number, at in found.parts.items():
        planes[number] = np.zeros(found.scan_shape, bool)
        planes[number].flat[at] = True
    return planes


def same(found: GivenGrains, expected: dict[int, np.ndarray]) -> bool:
    planes = masks_of(found)
    return list(planes) == list(expected) and all(np.array_equal(planes[n], m) for n, m in expected.items())


def as_tif(path: Path, array: np.ndarray) -> str:
    tifffile.imwrite(path / "x.tif", array, photometric="minisblack")
    return str(path / "x.tif")


def as_npy(path: Path, array: np.ndarray) -> str:
    np.save(path / "x.npy", array)
    return str(path / "x.npy")


def as_hdf5(path: Path, array: np.ndarray) -> str:
    with h5py.File(path / "x.h5", "w") as file:
        file["a/mine"], file["other"] = array, np.ones(SHAPE, np.uint8)
    return f"{path / 'x.h5'}::a/mine"


@pytest.mark.parametrize("write", [as_tif, as_npy, as_hdf5])
def test_label_images_and_stacks(write: Any, tmp_path: Path) -> None:
    image = labels()
    expected = {5: image == 5, 12: image == 12}
    assert same(load_grains(write(tmp_path, image), SHAPE), expected)
    over = np.stack([image == 5, (image == 5) | (image == 12)])
    assert same(load_grains(write(tmp_path, over.astype(np.uint8) * 255), SHAPE), {1: over[0], 2: over[1]})
    numbered = over * np.array([5, 12], np.uint16)[:, None, None]
    assert same(load_grains(write(tmp_path, numbered), SHAPE), {5: over[0], 12: over[1]})
    assert same(load_grains(write(tmp_path, image.astype(np.float32)), SHAPE), expected)


def test_negative_background_and_layers_of_labels() -> None:
    image = labels().astype(np.int32) - 1
    found = grains_in(np.where(image == 4, 0, image), SHAPE)  # -1 background, 0 and 11 are grains
    assert list(found.parts) == [1, 12]
    layers = np.stack([labels(), np.where(np.arange(9) > 6, 3, 0) * np.ones((7, 1), int)])
    assert list(grains_in(layers, SHAPE).parts) == [3, 5, 12]
    with pytest.raises(ReadError, match="the same in several planes"):
        grains_in(np.stack([labels(), labels()]), SHAPE)


def ome_zarr(path: Path, version: int) -> None:
    """Labels of another program: 0.4 in Zarr 2 or 0.5 in Zarr 3, two label images that both have a label 5."""

    def about(inner: dict[str, Any]) -> dict[str, Any]:
        return {"ome": {"version": "0.5", **inner}} if version == 3 else inner

    root = zarr.create_group(path, zarr_format=version)
    group = root.create_group("labels", attributes=about({"labels": ["one", "two"]}))
    for name, image in (("one", labels()), ("two", np.where(np.arange(9) > 6, 5, 0) * np.ones((7, 1), np.uint16))):
        scales = [{"axes": [], "datasets": [{"path": "s0"}, {"path": "s1"}]}]
        made = group.create_group(name, attributes=about({"multiscales": scales, "image-label": {}}))
        made.create_array("s0", data=image.astype(np.uint16))
        made.create_array("s1", data=image[::2, ::2].astype(np.uint16))


@pytest.mark.parametrize("version", [2, 3])
def test_labels_of_ome_zarr(version: int, tmp_path: Path) -> None:
    path = tmp_path / "cells.ome.zarr"
    ome_zarr(path, version)
    assert len(load_grains(path, SHAPE)) == 3  # numbered anew, as two have one number
    assert list(load_grains(f"{path}::labels/one", SHAPE).parts) == [5, 12]


def test_labels_of_a_damaged_ome_zarr_are_told(tmp_path: Path) -> None:
    path = tmp_path / "cells.ome.zarr"
    ome_zarr(path, 3)
    about = json.loads((path / "labels" / "one" / "zarr.json").read_text())
    for damage in ({"multiscales": []}, {"multiscales": [{"datasets": "s"}]}, {}):
        about["attributes"]["ome"] = damage
        (path / "labels" / "one" / "zarr.json").write_text(json.dumps(about))
        with pytest.raises(ReadError, match="not as OME-Zarr has them"):
            load_grains(path, SHAPE)
    about["attributes"]["ome"] = {"multiscales": [{"datasets": [{"path": "../../../etc"}]}]}
    (path / "labels" / "one" / "zarr.json").write_text(json.dumps(about))
    with pytest.raises(ReadError, match="holds no masks or label image"):
        load_grains(path, SHAPE)


def coco(segmentations: dict[Any, Any], **more: Any) -> dict[str, Any]:
    annotations = [{"id": i, "image_id": 3, "category_id": 1, "segmentation": s} for i, s in segmentations.items()]
    return {"images": [{"id": 3, "height": 7, "width": 9}], "annotations": annotations, **more}


def test_coco_of_other_programs(tmp_path: Path) -> None:
    """Polygons, of several parts, and run lengths in their packed form, as pycocotools writes them."""
    path = tmp_path / "a.json"
    rectangle = [1, 1, 4, 1, 4, 3, 1, 3]
    # pycocotools.mask.encode of the label 12 of `labels`
    content = coco({5: [rectangle], 6: [rectangle, [5, 5, 9, 5, 9, 7, 5, 7]], 12: {"size": [7, 9], "counts": PACKED}})
    path.write_text(json.dumps(content))
    found = masks_of(load_grains(path, SHAPE))
    assert np.array_equal(found[5], labels() == 5)
    assert found[6].sum() == 6 + 8
    assert np.array_equal(found[12], labels() == 12)


PACKED = "b02500000000000L"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "it is no JSON"),
        ("[1]", "neither COCO"),
        ('{"annotations": [{"id": 1}], "images": []}', "not as the format has them"),
        (json.dumps(coco({1: [[1, 1, 2]]})), "not as the format has them"),
        (json.dumps(coco({1: {"size": [7, 9], "counts": [1, 5]}})), "not as the format has them"),
        (json.dumps(coco({1: {"size": [7, 8], "counts": [56]}})), "is not of an image of 7 x 9"),
        (json.dumps(coco({})), "holds no grains"),
        (json.dumps(coco({}, images=[])), "annotates 0 images"),
        (
            json.dumps(coco({}, images=[{"id": 3, "height": 900000, "width": 900000}])),
            "900000 x 900000 pixels, but the",
        ),
        ('{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": []}, "properties": [1]}', "not as the"),
        ('{"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}}', "not a Point"),
    ],
)
def test_damaged_annotations_are_told(content: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(ReadError, match=words):
        load_grains(path, SHAPE)


def test_of_another_scan_or_no_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", labels().T)
    with pytest.raises(ReadError, match=r"9 x 7 pixels, but the scan has 7 x 9 positions\. It is turned"):
        load_grains(tmp_path / "a.npy", SHAPE)
    with pytest.raises(ReadError, match="are not whole"):
        grains_in(labels() + 0.5, SHAPE)
    with pytest.raises(ReadError, match="all of it is background"):
        grains_in(np.zeros(SHAPE, int), SHAPE)
    with pytest.raises(ReadError, match="has 4 axes"):
        grains_in(np.zeros((2, 2, *SHAPE), int), SHAPE)
    with pytest.raises(ReadError, match="not labels or masks"):
        grains_in(np.zeros(SHAPE, complex), SHAPE)


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_outlines_and_run_lengths_give_the_mask_back(mask: np.ndarray) -> None:
    found = polygons(mask)
    assert sum(area(ring) for polygon in found for ring in polygon) == mask.sum()
    for outer, *holes in found:
        assert area(outer) > 0
        assert all(area(hole) < 0 for hole in holes)
        assert all(len(set(ring)) == len(ring) - 1 for ring in (outer, *holes))  # none meets itself
    if mask.any():
        parts = [[straightened(ring) for ring in polygon] for polygon in found]
        geometry = {"type": "MultiPolygon", "coordinates": parts}
        content = {"type": "FeatureCollection", "features": [{"geometry": geometry, "properties": None, "id": 4}]}
        y, x = np.nonzero(mask)
        counts = run_lengths(y + mask.shape[0] * x, mask.size)
        of_coco = coco({4: {"size": list(mask.shape), "counts": counts}})
        of_coco["images"] = [{"id": 3, "height": mask.shape[0], "width": mask.shape[1]}]
        assert sum(counts) == mask.size
        for one in (content, of_coco):
            assert same(through_json(one, mask.shape), {4: mask})


def through_json(content: dict[str, Any], shape: tuple[int, int]) -> GivenGrains:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.json"
        path.write_text(json.dumps(content))
        return load_grains(path, shape)
