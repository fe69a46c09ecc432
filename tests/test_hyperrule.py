"""The BiT-HyperRule as a whole: resolution, mixing, and the operations that images go through."""

import numpy as np
import pytest

import augment
from recipes.hyperrule import hyperrule


@pytest.mark.parametrize(
    ("image_size", "resize_size", "crop_size"),
    [(32, 160, 128), ((95, 97), 160, 128), (96, 512, 480), ((96, 95), 160, 128), ((9216, 1), 512, 480)],
)
def test_resolution_is_chosen_by_the_area_of_the_images(image_size, resize_size, crop_size):
    rule = hyperrule(50_000, image_size)
    assert (rule.resize_size, rule.crop_size) == (resize_size, crop_size)


def test_mixing_and_steps_are_chosen_by_the_number_of_samples():
    rules = [hyperrule(samples, 32) for samples in (19_999, 20_000, 500_000)]
    assert [(rule.steps, rule.mixup_alpha) for rule in rules] == [(500, 0.0), (10_000, 0.1), (20_000, 0.1)]
    assert all(rule.momentum == 0.9 for rule in rules)
    scaled = hyperrule(7000, 32, batch_size=32, base_lr=0.03)
    assert scaled.steps == 8000
    assert scaled.learning_rate(1600) == pytest.approx(0.03 / 16)
    assert scaled.learning_rate(scaled.steps) == pytest.approx(0.03 / 16 / 1000)


def test_a_rule_of_other_length_has_its_corners_at_the_same_fractions():
    rule, short = hyperrule(7000, 32, batch_size=32), hyperrule(7000, 32, batch_size=32, total_steps=50)
    assert short.steps == 50
    for step in (0, 5, 10, 20, 21, 30, 31, 41, 49):
        assert short.learning_rate(step) == pytest.approx(rule.learning_rate(160 * step))
    with pytest.raises(ValueError, match="`total_steps`.*0"):
        hyperrule(7000, 32, total_steps=0)


def test_images_are_scaled_cut_flipped_and_brought_between_minus_one_and_one():
    """A ramp over the columns: a part of it, shown either way round, tells scale and place."""
    images = np.repeat(np.linspace(0, 255, 80).astype("uint8")[None, None, :, None], 40, 1)
    images = np.repeat(np.repeat(images, 16, 0), 3, 3)
    labels = np.eye(16, dtype="float32")
    rule = hyperrule(7000, (40, 80))
    arguments = {"batch_size": 16, "seed": 1, "shuffle": False}
    seen, _ = augment.ArrayGenerator(images, labels, rule.training_operations(), **arguments)[0]
    assert seen.shape == (16, 128, 128, 3)
    slopes = (seen[:, 64, 96, 0] - seen[:, 64, 32, 0]) / 64
    assert {np.sign(slope) for slope in slopes} == {-1, 1}
    np.testing.assert_allclose(np.abs(slopes), 2 / 160, rtol=0.1)  # 160 columns were made of the whole
    assert len(set(np.abs(seen[:, 64, 64, 0]).round(3))) > 5  # cut at different places

    operations = rule.evaluation_operations()
    whole, _ = augment.ArrayGenerator(images, labels, operations, training=False, **arguments)[0]
    assert whole.shape == (16, 128, 128, 3)
    assert (whole.min(), whole.max()) == (-1, 1)
    columns = np.clip((np.arange(128) + 0.5) * 80 / 128 - 0.5, 0, 79)
    np.testing.assert_allclose(whole[0, 0, :, 0], 2 * columns / 79 - 1, atol=0.02)


def test_large_data_sets_are_mixed_with_one_weight_for_the_batch():
    rule = hyperrule(20_000, 32)
    images, labels = np.zeros((8, 32, 32, 3), "uint8"), np.eye(8, dtype="float32")
    for seed in range(4):
        _, mixed = augment.ArrayGenerator(images, labels, rule.training_operations(), batch_size=8, seed=seed)[0]
        weights = {tuple(sorted(row[row > 1e-6].round(5))) for row in np.asarray(mixed)} - {(1.0,)}
        assert len(weights) <= 1
        np.testing.assert_allclose(np.sum(mixed, 1), 1, atol=1e-6)
