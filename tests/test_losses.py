"""The losses of a detector: hand-computed cases, finite differences, half precision."""

import keras
import numpy as np
import pytest
from gradients import gradient

from recipes.losses import DetectionLoss
from recipes.losses import focal_loss
from recipes.losses import smooth_l1

to_numpy = keras.ops.convert_to_numpy
# One anchor of 16 pixels in each cell of 16: images of 16x48 have three, side by side.
ROW = {"sizes": (16,), "strides": (16,), "ratios": (1.0,), "scales": (1.0,)}


def focal_by_formula(targets, logits, alpha, gamma):
    """In float64, from probabilities."""
    right = 1 / (1 + np.exp(np.where(targets, -1.0, 1.0) * logits))
    return np.where(targets, alpha, 1 - alpha) * (1 - right) ** gamma * -np.log(right)


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.5, 0.0), (0.9, 0.5), (0.25, 5.0)])
def test_focal_loss_and_its_gradient_are_those_of_the_formula(alpha, gamma):
    logits = np.random.default_rng(0).normal(0, 3, (40, 3)).astype("float32")
    logits[:2] = 0
    targets = np.random.default_rng(1).integers(0, 2, logits.shape)
    expected = focal_by_formula(targets, logits.astype("float64"), alpha, gamma)
    np.testing.assert_allclose(to_numpy(focal_loss(targets, logits, alpha, gamma)), expected, rtol=1e-4, atol=1e-7)
    above, below = (focal_by_formula(targets, logits.astype("float64") + step, alpha, gamma) for step in (1e-5, -1e-5))
    found = gradient(lambda logits: focal_loss(targets, logits, alpha, gamma), logits)
    np.testing.assert_allclose(found, (above - below) / 2e-5, rtol=1e-4, atol=1e-6)


def test_focal_loss_by_hand():
    # p = 0.9 for the class that is there: 0.25 * 0.1^2 * -ln 0.9; for one that is not: 0.75 * 0.9^2 * -ln 0.1.
    losses = to_numpy(focal_loss([True, False], np.log([9.0, 9.0])))
    np.testing.assert_allclose(losses, [0.25 * 0.01 * 0.1053605, 0.75 * 0.81 * 2.3025851], rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_focal_loss_is_safe_in_half_precision(dtype):
    """A sigmoid and a logarithm would lose all that is above 8 here: 0.9997 is 1, and its complement 0."""
    logits = keras.ops.cast(np.array([-60.0, -10.0, 10.0, 60.0]), dtype)
    missed, found = (to_numpy(focal_loss(there, logits)) for there in ([True] * 4, [False] * 4))
    expected = 0.25 * focal_by_formula(True, np.array([-60.0, -10.0]), 1.0, 2.0)
    np.testing.assert_allclose(missed[:2], expected, rtol=1e-5)
    np.testing.assert_allclose(found[2:], 3 * expected[::-1], rtol=1e-5)
    assert missed.dtype == "float32" and (missed[2:] < 1e-9).all() and (found[:2] < 1e-9).all()
    steps = gradient(
        lambda logits: focal_loss([True] * 4, keras.ops.cast(logits, dtype)), np.float32([-60, -10, 10, 60])
    )
    np.testing.assert_allclose(steps, [-0.25, -0.25, 0, 0], atol=2e-3)


def test_smooth_l1_and_its_gradient_by_hand():
    differences = np.float32([0, 1 / 18, -1 / 18, 1 / 9, 0.5, -2])
    expected = [0, 4.5 / 324, 4.5 / 324, 1 / 18, 0.5 - 1 / 18, 2 - 1 / 18]
    np.testing.assert_allclose(to_numpy(smooth_l1(differences)), expected, rtol=1e-5)
    np.testing.assert_allclose(gradient(smooth_l1, differences), [0, 0.5, -0.5, 1, 1, -1], atol=1e-5)
    np.testing.assert_allclose(to_numpy(smooth_l1(differences, beta=1.0))[-2:], [0.125, 1.5])
    assert np.isfinite(to_numpy(smooth_l1(keras.ops.cast([1e4], "float16")))).all()  # whose square is not, there


def two_images():
    """An object under the first anchor of the first image, nothing in the second; and all outputs."""
    boxes = np.zeros((2, 2, 4), "float32")
    boxes[0, 1] = 0, 0, 16, 16
    targets = {"boxes": boxes, "labels": np.array([[-1, 1], [-1, -1]])}
    regressions = np.zeros((2, 3, 4), "float32")
    regressions[0, 0] = 1 / 18, -0.5, 0, 2
    regressions[:, 1:] = 100.0  # of anchors that have no object
    return targets, {"boxes": regressions, "classes": np.log(np.full((2, 3, 2), 9.0, "float32"))}


def numbers(losses):
    return {name: float(value) for name, value in losses.items()}


HIT, MISS = 0.25 * 0.01 * 0.1053605, 0.75 * 0.81 * 2.3025851
BOX = (4.5 / 324 + 0.5 - 1 / 18 + 2 - 1 / 18) / 4


@pytest.mark.parametrize(
    ("normalization", "class_loss", "box_loss"),
    [("image", (HIT + 5 * MISS + 6 * MISS) / 2, BOX / 2), ("batch", HIT + 5 * MISS + 6 * MISS, BOX)],
)
def test_detection_loss_by_hand(normalization, class_loss, box_loss):
    losses = DetectionLoss(normalization=normalization, anchors=ROW)(*two_images(), (16, 48))
    assert numbers(losses) == pytest.approx({"class_loss": class_loss, "box_loss": box_loss}, rel=1e-4)


def test_batch_normalization_weighs_objects_alike():
    """An image of two positive anchors counts twice as much as one of one."""
    targets, outputs = two_images()
    targets["boxes"][1] = [[0, 0, 16, 16], [16, 0, 32, 16]]
    targets["labels"][1] = 0
    outputs["boxes"][:] = 0
    outputs["boxes"][0, 0] = 10
    by_image, by_batch = (
        numbers(DetectionLoss(normalization=each, anchors=ROW)(targets, outputs, (16, 48)))
        for each in ("image", "batch")
    )
    assert by_image["box_loss"] == pytest.approx((10 - 1 / 18) / 2)
    assert by_batch["box_loss"] == pytest.approx((10 - 1 / 18) / 3)


def test_padding_crowds_and_near_misses_count_in_no_class():
    targets, outputs = two_images()
    everything = numbers(DetectionLoss(anchors=ROW)(targets, outputs, (16, 48)))["class_loss"]
    padded = {**targets, "sizes": np.float32([[16, 48], [16, 16]])}
    without = numbers(DetectionLoss(anchors=ROW)(padded, outputs, (16, 48)))["class_loss"]
    assert everything - without == pytest.approx(4 * MISS / 2, rel=1e-4)  # two anchors of two classes, two images
    targets["boxes"][1, 0], targets["labels"][1, 0] = (16, 0, 48, 16), -2
    crowd = numbers(DetectionLoss(anchors=ROW)(targets, outputs, (16, 48)))["class_loss"]
    assert crowd == pytest.approx(without, rel=1e-4)
    targets["boxes"][1, 0], targets["labels"][1, 0] = (0, 0, 16, 7.2), 0  # overlaps by 0.45
    near = numbers(DetectionLoss(anchors=ROW)(targets, outputs, (16, 48)))["class_loss"]
    assert everything - near == pytest.approx(2 * MISS / 2, rel=1e-4)
    forced = numbers(DetectionLoss(anchors=ROW, best=True)(targets, outputs, (16, 48)))["class_loss"]
    assert everything - forced == pytest.approx((MISS - HIT) / 2, rel=1e-4)


def test_outputs_that_are_not_of_these_anchors_are_refused():
    with pytest.raises(ValueError, match=r"\(16, 64\) have 4 anchors.*3"):
        DetectionLoss(anchors=ROW)(*two_images(), (16, 64))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 1.5}, r"`alpha`.*\[0, 1\].*1\.5"),
        ({"gamma": -1}, "`gamma`.*-1"),
        ({"beta": 0}, "`beta`.*above 0.*0"),
        ({"beta": "small"}, "`beta`.*'small'"),
        ({"normalization": "all"}, "`normalization`.*image.*batch.*'all'"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        DetectionLoss(**arguments)
