"""The distribution of what operations choose."""

import math

import numpy as np
import pytest
import scipy.stats
from samples import LIKELY
from samples import choose

import augment


def assert_equally_likely(choice, keys, firsts, counts):
    places = [choice[key].ravel() - first for key, first in zip(keys, firsts)]
    cells = np.bincount(np.ravel_multi_index(places, counts), minlength=math.prod(counts))
    assert (cells > 0).all()
    assert scipy.stats.chisquare(cells).pvalue > LIKELY


@pytest.mark.parametrize(
    ("operation", "counts"),
    [
        (augment.PadCrop(4), (9, 9)),
        (augment.PadCrop(2, mode="edge"), (5, 5)),
        (augment.PadCrop(1, size=(4, 8)), (8, 6)),
        (augment.CropPad(2), (5, 5)),
    ],
    ids=str,
)
def test_every_offset_is_reachable_and_equally_likely(operation, counts):
    assert_equally_likely(choose(operation), ("top", "left"), (0, 0), counts)


@pytest.mark.parametrize(
    ("operation", "firsts", "counts"),
    [
        (augment.Cutout(3), (0, 0), (7, 9)),
        (augment.Cutout(9), (0, 0), (1, 3)),
        (augment.Cutout(2, count=3), (0, 0), (8, 10)),
        (augment.Cutout(4, inside=False), (-2, -2), (9, 11)),
        (augment.Cutout(5, count=2, inside=False), (-2, -2), (9, 11)),
    ],
    ids=str,
)
def test_every_place_of_a_cutout_is_reachable_and_equally_likely(operation, firsts, counts):
    assert_equally_likely(choose(operation, seed=1), ("top", "left"), firsts, counts)


@pytest.mark.parametrize("flip", [augment.HorizontalFlip, augment.VerticalFlip])
@pytest.mark.parametrize("probability", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_flips_have_the_probability(flip, probability):
    flipped = int(choose(flip(probability))["flip"].sum())
    assert scipy.stats.binomtest(flipped, 20_000, probability).pvalue > LIKELY


def test_the_alternating_flip_mirrors_one_half_and_then_the_other():
    even, odd, next_even = (choose(augment.AlternatingFlip(), epoch=epoch)["flip"] for epoch in (0, 1, 2))
    assert np.array_equal(even, ~odd)
    assert np.array_equal(even, next_even)
    assert scipy.stats.binomtest(int(even.sum()), 20_000).pvalue > LIKELY
    assert not np.array_equal(choose(augment.AlternatingFlip(), seed=1)["flip"], even)


def test_the_alternating_flip_does_not_follow_what_it_stands_beside():
    """In one stream with other draws: as often mirrored where these say yes."""
    choice = choose(augment.RandomApply([augment.AlternatingFlip(), augment.HorizontalFlip()]))
    flips = choice["parts"][0]["flip"]
    for other in (choice["apply"], choice["parts"][1]["flip"]):
        assert scipy.stats.binomtest(int((flips == other).sum()), 20_000).pvalue > LIKELY


@pytest.mark.parametrize(
    ("operation", "key", "low", "high"),
    [
        (augment.Rotation(15), "degrees", -15, 15),
        (augment.Rotation((-30, 5), probability=0.7), "degrees", -30, 5),
        (augment.GaussianBlur(0.5), "sigma", 0, 0.5),
        (augment.GaussianBlur((0.2, 2.0), probability=0.3), "sigma", 0.2, 2.0),
    ],
    ids=str,
)
def test_angles_and_blurs_are_uniform_in_their_range(operation, key, low, high):
    drawn = choose(operation)[key].ravel()
    applied = drawn[drawn != 0]
    assert scipy.stats.binomtest(len(applied), len(drawn), min(operation.probability, 1 - 1e-7)).pvalue > LIKELY
    assert scipy.stats.kstest(applied, scipy.stats.uniform(low, high - low).cdf).pvalue > LIKELY


@pytest.mark.parametrize("per", ["image", "batch"])
def test_mixup_weights_follow_the_beta_distribution(per):
    mixup, expected = augment.Mixup(0.7, per), scipy.stats.beta(0.7, 0.7)
    if per == "image":
        weights = choose(mixup)["weight"].ravel()
    else:
        weights = [choose(mixup, samples=2, epoch=epoch)["weight"][0, 0] for epoch in range(1000)]
    assert scipy.stats.kstest(weights, expected.cdf).pvalue > LIKELY


def test_mixup_partners_are_any_of_the_batch():
    partners = [choose(augment.Mixup(), samples=5, epoch=epoch)["partner"] for epoch in range(1000)]
    for place in np.transpose(partners):
        assert scipy.stats.chisquare(np.bincount(place, minlength=5)).pvalue > LIKELY


def reference_rectangle(rng, img_h, img_w, area, aspect):
    """The rejection loop of experiment 001's `get_random_eraser`."""
    while True:
        s = rng.uniform(*area) * img_h * img_w
        r = rng.uniform(*aspect)
        w = int(np.sqrt(s / r))
        h = int(np.sqrt(s * r))
        left = rng.integers(0, img_w)
        top = rng.integers(0, img_h)
        if left + w <= img_w and top + h <= img_h:
            return h, w, top, left


@pytest.mark.parametrize(
    ("shape", "area", "aspect"),
    [
        ((32, 32), (0.02, 0.4), (0.3, 1 / 0.3)),
        ((24, 40), (0.02, 0.4), (0.3, 1 / 0.3)),
        ((20, 20), (0.3, 0.8), (0.8, 2)),
    ],
)
def test_random_erasing_is_distributed_as_the_rejection_loop(shape, area, aspect):
    rng = np.random.default_rng(0)
    expected = np.array([reference_rectangle(rng, *shape, area, aspect) for _ in range(5_000)])
    choice = choose(augment.RandomErasing(1.0, area, aspect, per_pixel=False), (*shape, 3), samples=5_000)
    result = np.concatenate([choice[key] for key in ("height", "width", "top", "left")], axis=1)
    statistics = {
        **{name: (lambda r, i=i: r[:, i]) for i, name in enumerate(("height", "width", "top", "left"))},
        "area": lambda r: r[:, 0] * r[:, 1],
        "aspect": lambda r: r[:, 0] / np.maximum(r[:, 1], 1),
        "bottom": lambda r: r[:, 0] + r[:, 2],
        "right": lambda r: r[:, 1] + r[:, 3],
    }
    for name, statistic in statistics.items():
        assert scipy.stats.ks_2samp(statistic(result), statistic(expected)).pvalue > LIKELY, name


@pytest.mark.parametrize("probability", [0.0, 0.3, 0.5, 1.0])
def test_random_erasing_has_the_probability(probability):
    erasing = augment.RandomErasing(probability, per_pixel=False)
    erased = int((choose(erasing, (32, 32, 3))["height"] > 0).sum())
    assert scipy.stats.binomtest(erased, 20_000, probability).pvalue > LIKELY


@pytest.mark.parametrize("per_pixel", [True, False])
def test_random_erasing_values_are_uniform(per_pixel):
    erasing = augment.RandomErasing(1.0, area=(0.5, 0.6), aspect=(1, 1), value=(-1, 3), per_pixel=per_pixel)
    images = np.full((200 if per_pixel else 10_000, 8, 8, 3), 9.0, "float32")
    erased, _ = augment.transform([erasing], images, index=np.arange(len(images), dtype="int32"), seed=2)
    values = erased[erased != 9] if per_pixel else erased.min(axis=(1, 2, 3))
    assert scipy.stats.kstest(values, scipy.stats.uniform(-1, 4).cdf).pvalue > LIKELY
    if per_pixel:
        assert len(np.unique(values)) > 0.7 * len(values), "neither channels, nor pixels, nor images share values"


@pytest.mark.parametrize(
    ("operation", "reach"),
    [
        (augment.Translation(2), (2, 2)),
        (augment.Translation((1, 3)), (1, 3)),
        (augment.Translation(0.3), (2, 3)),  # of 9 and of 11 pixels
        (augment.Translation((0, 0.5)), (0, 5)),
    ],
    ids=str,
)
def test_every_translation_is_reachable_and_equally_likely(operation, reach):
    firsts = [-largest for largest in reach]
    assert_equally_likely(choose(operation), ("down", "right"), firsts, [2 * largest + 1 for largest in reach])


def test_translation_has_the_probability():
    choice = choose(augment.Translation(1, probability=0.6))
    moved = int(((choice["down"] != 0) | (choice["right"] != 0)).sum())
    assert scipy.stats.binomtest(moved, 20_000, 0.6 * 8 / 9).pvalue > LIKELY


def reference_crop(rng, height, width, scale, ratio):
    """The proposals of torchvision's RandomResizedCrop, from its documentation."""
    for _ in range(10):
        area = height * width * rng.uniform(*scale)
        aspect = np.exp(rng.uniform(np.log(ratio[0]), np.log(ratio[1])))
        w, h = round(np.sqrt(area * aspect)), round(np.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return rng.integers(0, height - h + 1), rng.integers(0, width - w + 1), h, w
    if width / height < ratio[0]:
        w, h = width, round(width / ratio[0])
    elif width / height > ratio[1]:
        h, w = height, round(height * ratio[1])
    else:
        h, w = height, width
    return (height - h) // 2, (width - w) // 2, h, w


@pytest.mark.parametrize(
    ("shape", "scale", "ratio"),
    [
        ((32, 32), (0.08, 1.0), (3 / 4, 4 / 3)),
        ((24, 60), (0.3, 1.0), (3 / 4, 4 / 3)),  # the last resort is common
        ((60, 24), (0.5, 1.0), (3 / 4, 4 / 3)),
    ],
)
def test_random_resized_crop_is_distributed_as_torchvisions(shape, scale, ratio):
    rng = np.random.default_rng(0)
    expected = np.array([reference_crop(rng, *shape, scale, ratio) for _ in range(5_000)])
    choice = choose(augment.RandomResizedCrop(8, scale, ratio), (*shape, 3), samples=5_000)
    result = np.concatenate([choice[key] for key in ("top", "left", "height", "width")], axis=1)
    for ours, theirs in zip([*result.T, result[:, 2] * result[:, 3]], [*expected.T, expected[:, 2] * expected[:, 3]]):
        assert scipy.stats.ks_2samp(ours, theirs).pvalue > LIKELY


@pytest.mark.parametrize(
    ("operation", "low", "high"),
    [
        (augment.Brightness(0.4), 0.6, 1.4),
        (augment.Contrast(1.5), 0.0, 2.5),
        (augment.Saturation((0.1, 0.3)), 0.1, 0.3),
        (augment.Hue(0.2), -0.2, 0.2),
        (augment.Hue((0.1, 0.4)), 0.1, 0.4),
    ],
    ids=str,
)
def test_colours_are_uniform_in_their_range(operation, low, high):
    (drawn,) = choose(operation).values()
    assert scipy.stats.kstest(drawn.ravel(), scipy.stats.uniform(low, high - low).cdf).pvalue > LIKELY


def test_grayscale_has_the_probability():
    assert scipy.stats.binomtest(int(choose(augment.Grayscale(0.1))["gray"].sum()), 20_000, 0.1).pvalue > LIKELY


@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_cutmix_is_distributed_as_the_papers_loop(alpha):
    rng, (height, width) = np.random.default_rng(0), (20, 28)
    expected = []
    for weight in rng.beta(alpha, alpha, 5_000):
        h, w = int(height * np.sqrt(1 - weight)), int(width * np.sqrt(1 - weight))
        y, x = rng.integers(height), rng.integers(width)
        top, left = max(y - h // 2, 0), max(x - w // 2, 0)
        bottom, right = min(y - h // 2 + h, height), min(x - w // 2 + w, width)
        expected.append((top, left, bottom - top, right - left, 1 - (bottom - top) * (right - left) / height / width))
    choice = choose(augment.CutMix(alpha), (height, width, 3), samples=5_000)
    result = np.concatenate([choice[key] for key in ("top", "left", "height", "width", "weight")], axis=1)
    for ours, theirs in zip(result.T, np.transpose(expected)):
        assert scipy.stats.ks_2samp(ours, theirs).pvalue > LIKELY


def test_cutmix_of_a_batch_has_one_rectangle():
    choice = choose(augment.CutMix(per="batch"), samples=50)
    for key in ("top", "left", "height", "width", "weight"):
        assert len(np.unique(choice[key])) == 1
    assert np.array_equal(np.sort(choice["partner"]), np.arange(50))


def test_random_order_draws_every_order_equally_often():
    parts = [augment.HorizontalFlip(), augment.VerticalFlip(), augment.Cutout(2)]
    order = choose(augment.RandomOrder(parts))["order"]
    _, counts = np.unique(order, axis=0, return_counts=True)
    assert len(counts) == 6
    assert scipy.stats.chisquare(counts).pvalue > LIKELY


@pytest.mark.parametrize("weights", [None, (1, 2, 5), (0, 1, 1)])
def test_one_of_draws_by_weight(weights):
    parts = [augment.HorizontalFlip(), augment.VerticalFlip(), augment.Cutout(2)]
    counts = np.bincount(choose(augment.OneOf(parts, weights))["chosen"].ravel(), minlength=3)
    expected = np.array(weights or (1, 1, 1)) / sum(weights or (1, 1, 1)) * 20_000
    assert (counts[expected == 0] == 0).all()
    assert scipy.stats.chisquare(counts[expected > 0], expected[expected > 0]).pvalue > LIKELY


def test_random_apply_has_the_probability_and_parts_draw_independently():
    choice = choose(augment.RandomApply([augment.HorizontalFlip(), augment.HorizontalFlip()], 0.3))
    assert scipy.stats.binomtest(int(choice["apply"].sum()), 20_000, 0.3).pvalue > LIKELY
    first, second = (part["flip"][:, 0] for part in choice["parts"])
    table = np.histogram2d(first, second, bins=2)[0]
    assert scipy.stats.chi2_contingency(table).pvalue > LIKELY
    assert scipy.stats.binomtest(int((first & choice["apply"][:, 0]).sum()), 20_000, 0.15).pvalue > LIKELY
