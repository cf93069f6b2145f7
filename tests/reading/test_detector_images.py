"""Masks and dark references of the detector, from any file."""

import h5py
import numpy as np
import pytest
import tifffile
from skimage.io import imsave

from napari_stemnmf.errors import DataError, ReadError
from napari_stemnmf.reading.masks import load_detector_image

MASK = np.arange(60).reshape(6, 10) % 3 > 0


def write_mrc(path, stack):
    header = np.zeros(256, "<i4")
    header[:4] = stack.shape[2], stack.shape[1], stack.shape[0], 2
    head = bytearray(header.tobytes())
    head[208:214] = b"MAP DD"
    path.write_bytes(bytes(head) + stack.astype("<f4").tobytes())


@pytest.mark.parametrize("ending", ["npy", "npz", "tif", "png", "mrc", "h5"])
def test_an_image_is_read_from_any_container(tmp_path, ending):
    path = tmp_path / f"mask.{ending}"
    values = MASK.astype(np.uint8) * 255
    if ending == "npy":
        np.save(path, MASK)
    elif ending == "npz":
        np.savez(path, mask=MASK)
    elif ending == "tif":
        tifffile.imwrite(path, values)
    elif ending == "png":
        imsave(path, values, check_contrast=False)
    elif ending == "mrc":
        write_mrc(path, MASK[np.newaxis])
    else:
        with h5py.File(path, "w") as file:
            file["data"], file["mask"], file["other/mask"] = np.zeros((2, 3, 6, 10)), MASK, np.zeros((4, 5))
    np.testing.assert_array_equal(load_detector_image(path, (6, 10)) > 0, MASK)


def test_a_colour_picture_is_as_bright_as_its_brightest_channel_and_alpha_says_nothing(tmp_path):
    picture = np.zeros((6, 10, 4), np.uint8)
    picture[..., 1], picture[..., 3] = MASK * 200, 255
    imsave(tmp_path / "mask.png", picture, check_contrast=False)
    np.testing.assert_array_equal(load_detector_image(tmp_path / "mask.png", (6, 10)), MASK * 200)


def test_one_of_several_images_is_named(tmp_path):
    path = tmp_path / "masks.h5"
    with h5py.File(path, "w") as file:
        file["a/mask"], file["b/second"] = MASK, ~MASK
    np.testing.assert_array_equal(load_detector_image(f"{path}::b/second", (6, 10)), ~MASK)
    np.testing.assert_array_equal(load_detector_image(f"{path}::second", (6, 10)), ~MASK)
    with pytest.raises(ReadError, match="several images of the detector: a/mask, b/second"):
        load_detector_image(path, (6, 10))
    with pytest.raises(ReadError, match="holds no array 'third'"):
        load_detector_image(f"{path}::third", (6, 10))


def test_a_stack_is_averaged_where_it_will_do(tmp_path):
    stack = np.random.default_rng(0).poisson(9, (5, 6, 10)).astype(np.uint16)
    np.save(tmp_path / "dark.npy", stack)
    np.testing.assert_allclose(load_detector_image(tmp_path / "dark.npy", (6, 10), stacks=True), stack.mean(axis=0))
    with pytest.raises(DataError, match="holds 5 x 6 x 10, but the detector has 6 x 10 pixels"):
        load_detector_image(tmp_path / "dark.npy", (6, 10))


def test_an_image_of_another_shape_is_refused(tmp_path):
    np.save(tmp_path / "mask.npy", MASK)
    with pytest.raises(DataError, match=r"mask.npy holds 6 x 10, but the detector has 10 x 6 pixels"):
        load_detector_image(tmp_path / "mask.npy", (10, 6))


def test_what_cannot_be_read_is_told(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    with pytest.raises(ReadError, match=r"broken.png cannot be read"):
        load_detector_image(tmp_path / "broken.png", (6, 10))
    with pytest.raises(ReadError, match="no file"):
        load_detector_image(tmp_path / "none.npy", (6, 10))
