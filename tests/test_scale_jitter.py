"""Scale jitter: its pixels are torch's, and objects come out at every size and place."""

import numpy as np
import pytest
from samples import LIKELY
from samples import choose
from samples import column
from samples import some_images

import augment


def test_pixels_are_those_of_torch_and_the_rest_is_filled():
    torch = pytest.importorskip("torch")
    images = some_images((3, 20, 26, 3), "float32")
    places = [(0, 0, 20, 26), (3, 5, 11, 13), (-4, -7, 31, 40)]
    choice = dict(zip(("top", "left", "height", "width"), (column(*values) for values in zip(*places))))
    result = augment.ScaleJitter(fill=9).apply(images, choice)
    for image, (top, left, *size), ours in zip(images, places, result):
        part = torch.tensor(image).permute(2, 0, 1)[None]
        scaled = torch.nn.functional.interpolate(part, size, mode="bilinear", antialias=True)[0].permute(1, 2, 0)
        canvas = np.pad(scaled.numpy(), [(9, 30), (9, 30), (0, 0)], constant_values=9)
        np.testing.assert_allclose(ours, canvas[9 - top : 29 - top, 9 - left : 35 - left], atol=1e-3)


def test_factors_are_uniform_and_places_are_all_that_there_are():
    stats = pytest.importorskip("scipy.stats")
    choice = choose(augment.ScaleJitter((0.5, 1.5)), (400, 200, 3))
    assert stats.kstest(choice["height"][:, 0] / 400, stats.uniform(0.5, 1).cdf).pvalue > LIKELY
    assert np.abs(choice["width"] - choice["height"] / 2).max() <= 1
    for first, length, side in (("top", "height", 400), ("left", "width", 200)):
        spare = side - choice[length]
        assert ((choice[first] >= np.minimum(spare, 0)) & (choice[first] <= np.maximum(spare, 0))).all()
        wide = np.abs(spare) > 50
        assert stats.kstest(np.abs(choice[first][wide] / spare[wide]), "uniform").pvalue > LIKELY


def test_some_images_may_stay_as_they_are():
    images = some_images((200, 9, 11, 3))
    changed, _ = augment.transform([augment.ScaleJitter((1.3, 1.6), probability=0.5)], images, index=np.arange(200))
    same = (changed == images).all((1, 2, 3))
    assert 60 < same.sum() < 140
