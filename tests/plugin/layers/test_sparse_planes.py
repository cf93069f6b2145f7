"""Maps of groups as napari gets them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from napari_stemnmf.plugin.layers.sparse_planes import SparsePlanes

DENSE = np.random.default_rng(1).random((5, 4, 7)).astype(np.float32)
DENSE[DENSE < 0.8] = 0
PLANES = SparsePlanes(csr_array(DENSE.reshape(5, 28)), (4, 7))


@pytest.mark.parametrize(
    "key",
    [
        2, -1, (3, 1), (0, slice(None), slice(2, 5)), (slice(None), slice(None, None, 2), slice(1, None, 3)),
        (slice(1, 3), slice(None), slice(None)), (slice(None), 1, 2), slice(2, 4), (np.int64(1), 2, 3), ...,
    ],
)  # fmt: skip
def test_a_part_is_that_of_the_maps_in_full(key: Any) -> None:
    assert np.array_equal(PLANES[key], DENSE[key])
    assert PLANES[key].dtype == np.float32


def test_it_is_an_array_to_numpy() -> None:
    assert np.array_equal(np.asarray(PLANES), DENSE)
    assert (PLANES.shape, PLANES.size, len(PLANES)) == (DENSE.shape, DENSE.size, 5)
    with pytest.raises(IndexError):
        PLANES[5]
