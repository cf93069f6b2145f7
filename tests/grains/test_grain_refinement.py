"""Component maps become spatially distinct grains."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from napari_stemnmf.control import Control
from napari_stemnmf.errors import Cancelled, DataError
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.grains.refinement import coherence, find_threshold, refine, regions
from napari_stemnmf.representation_settings import RefinementSettings

METHODS = ("yen", "otsu", "li", "triangle")


def bump_map(seed: int = 0) -> np.ndarray:
    """A faint noisy floor with a 6 x 5 block at (2, 3), a 4 x 4 block at (12, 12) and a single bright position."""
    values = np.random.default_rng(seed).exponential(0.01, (20, 20)).astype(np.float32)
    values[2:8, 3:8] += 1.0
    values[12:16, 12:16] += 0.8
    values[18, 2] = 1.0
    return values


def otsu(min_size: int = 2, **changes) -> RefinementSettings:
    return RefinementSettings(threshold="otsu", min_size=min_size, **changes)


def test_each_bright_region_of_a_map_becomes_one_grain():
    grains = refine(bump_map()[None], otsu())
    assert len(grains) == 2
    assert grains.masks[0].sum() == 30
    assert grains.masks[0, 2:8, 3:8].all()
    assert grains.masks[1].sum() == 16
    assert grains.component.tolist() == [0, 0]
    assert grains.ids.tolist() == [1, 2]


@pytest.mark.parametrize("method", METHODS)
def test_every_threshold_keeps_the_bright_regions_whole(method):
    values = bump_map()
    grains = refine(values[None], RefinementSettings(threshold=method, min_size=12))
    assert len(grains) == 2
    assert grains.overlap[values > 0.5].sum() == 30 + 16
    for mask, weights in zip(grains.masks, grains.weights, strict=True):
        assert (values[mask] >= grains.thresholds[0]).all()
        np.testing.assert_array_equal(weights, np.where(mask, values, 0))


@pytest.mark.parametrize("method", METHODS)
def test_threshold_is_scikit_images_on_the_map(method):
    from skimage import filters

    values = bump_map().astype(np.float64)
    values = (values - values.min()) / np.ptp(values)
    assert find_threshold(values, method) == pytest.approx(getattr(filters, f"threshold_{method}")(values), rel=1e-12)


@pytest.mark.parametrize("factor", [1e-30, 1e-6, 1.0, 1e6, 1e30])
def test_grains_do_not_depend_on_the_scale_of_the_weights(factor):
    values = bump_map().astype(np.float64)
    expected = refine(values[None], otsu())
    scaled = refine(values[None] * factor, otsu())
    np.testing.assert_array_equal(scaled.masks, expected.masks)
    assert scaled.thresholds[0] == pytest.approx(expected.thresholds[0] * factor, rel=1e-5)


def test_weights_are_those_of_the_map_inside_and_zero_outside():
    values = bump_map()
    grains = refine(values[None], otsu())
    assert grains.weights.dtype == np.float32
    for mask, weights in zip(grains.masks, grains.weights, strict=True):
        np.testing.assert_array_equal(weights, np.where(mask, values, 0))
        assert (values[mask] >= grains.thresholds[0]).all()


def test_regions_smaller_than_the_least_size_are_left_out_and_those_of_it_stay():
    assert [m.sum() for m in refine(bump_map()[None], otsu(16)).masks] == [30, 16]
    assert [m.sum() for m in refine(bump_map()[None], otsu(17)).masks] == [30]
    assert [m.sum() for m in refine(bump_map()[None], otsu(1)).masks] == [30, 16, 1]


def test_positions_that_touch_at_a_corner_are_one_region():
    mask = np.zeros((4, 4), bool)
    mask[0, 0] = mask[1, 1] = mask[3, 3] = True
    assert [r.sum() for r in regions(mask)] == [2, 1]


@pytest.mark.parametrize("values", [np.zeros((5, 6)), np.full((5, 6), 0.7), np.full((5, 6), 1e-45, np.float32)])
def test_a_constant_map_gives_no_grain(values, recwarn):
    grains = refine(values[None], RefinementSettings(min_size=1))
    assert len(grains) == 0
    assert grains.masks.shape == (0, 5, 6)
    assert grains.weights.shape == (0, 5, 6)
    assert np.isnan(grains.thresholds).all()
    assert not recwarn.list


def test_no_maps_give_no_grains():
    grains = refine(np.zeros((0, 4, 4)))
    assert len(grains) == 0
    assert grains.scan_shape == (4, 4)
    assert grains.labels.shape == (4, 4)
    assert grains.stack.shape == (0, 4, 4)


def test_order_is_by_component_then_by_first_position():
    maps = np.stack([np.roll(bump_map(1), (3, 1), axis=(0, 1)), np.zeros((20, 20)), bump_map(2)])
    first, again = (refine(maps, otsu()) for _ in range(2))
    assert first.component.tolist() == [0, 0, 2, 2]
    starts = [int(np.flatnonzero(m)[0]) for m in first.masks]
    assert starts[0] < starts[1]
    assert starts[2] < starts[3]
    np.testing.assert_array_equal(first.masks, again.masks)
    assert first.ids.tolist() == [1, 2, 3, 4]


def test_threshold_scale_moves_the_threshold():
    low, high = (refine(bump_map()[None], otsu(threshold_scale=s)).thresholds[0] for s in (1.0, 1.5))
    assert high == pytest.approx(1.5 * low, rel=1e-6)


def test_separation_leaves_the_maps_as_they_were():
    maps = bump_map()[None]
    before = maps.copy()
    refine(maps)
    np.testing.assert_array_equal(maps, before)


def test_a_map_that_is_not_finite_is_refused():
    maps = bump_map()[None]
    maps[0, 0, 0] = np.nan
    with pytest.raises(DataError, match="not finite"):
        refine(maps)


def test_a_single_map_without_component_axis_is_refused():
    with pytest.raises(DataError, match="component, scan_y, scan_x"):
        refine(bump_map())


def test_separation_can_be_cancelled():
    control = Control()
    control.cancel()
    with pytest.raises(Cancelled):
        refine(bump_map()[None], control=control)


def overlapping() -> Grains:
    masks = np.zeros((3, 4, 6), bool)
    masks[0, :, :4] = True
    masks[1, :, 2:] = True
    masks[2, 0, 0] = True
    weights = np.zeros(masks.shape, np.float32)
    weights[0, :, :4] = [10, 10, 8, 4]
    weights[1, :, 2:] = [0.3, 0.9, 1, 1]
    weights[2, 0, 0] = 5
    return Grains.from_masks(masks, weights)


def test_overlap_counts_the_grains_of_each_position():
    overlap = overlapping().overlap
    assert overlap.dtype == np.uint16
    assert overlap[1].tolist() == [1, 1, 2, 2, 1, 1]
    assert overlap[0, 0] == 2


def test_stack_has_one_plane_a_grain_with_its_label():
    stack = overlapping().stack
    assert stack.dtype == np.int32
    assert [sorted(np.unique(plane)) for plane in stack] == [[0, 1], [0, 2], [0, 3]]
    np.testing.assert_array_equal(stack > 0, overlapping().masks)


def test_dominant_grain_is_the_one_nearest_to_its_own_maximum():
    labels = overlapping().labels
    assert labels.dtype == np.int32
    assert labels[1].tolist() == [1, 1, 1, 2, 2, 2]  # 0.8 against 0.3, then 0.4 against 0.9


def test_of_equals_the_smaller_grain_is_shown():
    assert overlapping().labels[0, 0] == 3


def test_positions_without_grain_are_zero_in_labels():
    masks = np.zeros((1, 3, 3), bool)
    masks[0, 1, 1] = True
    assert Grains.from_masks(masks).labels.tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_labels_are_ids_which_may_have_gaps():
    whole = overlapping()
    grains = Grains.from_masks(whole.masks, whole.weights, ids=[9, 4, 30])
    names = np.array([0, 9, 4, 30])
    np.testing.assert_array_equal(grains.labels, names[whole.labels])
    np.testing.assert_array_equal(grains.stack, names[whole.stack])


def test_a_mask_without_weights_still_shows_where_it_is_alone():
    masks = np.ones((1, 2, 2), bool)
    assert (Grains.from_masks(masks, np.zeros((1, 2, 2))).labels == 1).all()


def test_from_masks_fills_in_what_is_not_given_and_clears_weights_outside():
    masks = np.eye(3, dtype=np.uint8)
    grains = Grains.from_masks(masks, np.full((3, 3), 2.0))
    assert grains.masks.shape == (1, 3, 3)
    assert grains.masks.dtype == bool
    assert grains.weights.sum() == 6
    assert grains.component.tolist() == [-1]
    assert grains.ids.tolist() == [1]
    assert Grains.from_masks(masks).weights.sum() == 3


@pytest.mark.parametrize(
    "change",
    [
        {"masks": np.ones((2, 2), bool)},
        {"weights": np.ones((2, 2, 3), np.float32)},
        {"component": np.zeros(3, int)},
        {"ids": np.array([1, 1])},
        {"ids": np.array([0, 1])},
    ],
)
def test_grains_that_do_not_fit_together_are_refused(change):
    whole = {
        "masks": np.ones((2, 2, 2), bool),
        "weights": np.ones((2, 2, 2), np.float32),
        "component": np.zeros(2, int),
        "ids": np.array([1, 2]),
    }
    with pytest.raises(DataError):
        Grains.from_masks(**(whole | change))


@pytest.mark.parametrize("position", [-1, 4])
def test_a_position_beyond_the_scan_is_refused(position):
    inside = csr_array((np.ones(1, np.float32), np.array([position]), np.array([0, 1])), shape=(1, 4))
    with pytest.raises(DataError, match="not those of a scan of 2 x 2"):
        Grains(inside, (2, 2), np.array([0]), np.array([1]))


def noise_map(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).gamma(1.0, 1.0, (40, 50)).astype(np.float32)


def test_coherence_tells_grains_from_noise():
    assert coherence(bump_map()) > 0.6
    assert abs(coherence(noise_map())) < 0.1
    assert coherence(np.ones((5, 5))) == 1.0
    assert coherence(np.ones((1, 1))) == 1.0


@pytest.mark.parametrize("factor", [1e-20, 3.0, 1e20])
def test_coherence_does_not_depend_on_the_scale_of_the_weights(factor):
    assert coherence(bump_map() * factor) == pytest.approx(coherence(bump_map()))


def test_noise_gives_no_grains_where_coherence_is_asked_for():
    maps = np.stack([noise_map(), np.kron(np.eye(2), np.ones((20, 25)))])
    assert len(refine(maps, otsu())) > 2
    grains = refine(maps, otsu(min_coherence=0.5))
    assert set(grains.component) == {1}
    assert np.isnan(grains.thresholds[0])


def test_smoothing_mends_a_noisy_grain_and_keeps_its_raw_weights():
    truth = np.zeros((40, 50), bool)
    truth[10:30, 15:35] = True
    noisy = np.random.default_rng(0).gamma(1.5, 1.0, truth.shape) * np.where(truth, 1.0, 0.2)
    rough, smooth = (refine(noisy[None], otsu(smoothing=sigma)) for sigma in (0, 1.5))
    assert len(smooth) == 1
    found = smooth.masks[0]
    assert (found & truth).sum() / (found | truth).sum() > 0.85
    assert len(rough) > 1
    np.testing.assert_array_equal(smooth.weights[0][found], noisy.astype(np.float32)[found])
