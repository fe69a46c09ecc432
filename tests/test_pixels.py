"""Exact pixels of operations, for injected choices, against other libraries."""

import colorsys
import itertools

import keras
import numpy as np
import PIL.Image
import PIL.ImageEnhance
import pytest
import scipy.ndimage
from samples import change
from samples import choose
from samples import column
from samples import soft_labels
from samples import some_images

import augment
from augment import draws


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("size", [None, (4, 5), 8])
@pytest.mark.parametrize("mode", ["reflect", "edge", "constant"])
def test_pad_crop_is_a_slice_of_the_padded_image(mode, size, dtype):
    image = some_images((6, 7, 2), dtype)
    height, width = {None: (6, 7), (4, 5): (4, 5), 8: (8, 8)}[size]
    offsets = list(itertools.product(range(6 + 4 - height + 1), range(7 + 4 - width + 1)))
    options = {"constant_values": 9} if mode == "constant" else {}
    padded = np.pad(image, [(2, 2), (2, 2), (0, 0)], mode=mode, **options)
    expected = np.stack([padded[top : top + height, left : left + width] for top, left in offsets])
    choice = {"top": column(*[top for top, _ in offsets]), "left": column(*[left for _, left in offsets])}
    result = augment.PadCrop(2, size, mode, fill=9).apply(np.stack([image] * len(offsets)), choice)
    assert np.array_equal(result, expected)


def test_pad_crop_does_not_mix_images():
    images = np.arange(4, dtype="uint8")[:, None, None, None] + np.zeros((4, 6, 7, 1), "uint8")
    for mode in ("reflect", "edge"):
        for corner in (0, 10):
            choice = {"top": column(*[corner] * 4), "left": column(*[corner] * 4)}
            assert np.array_equal(augment.PadCrop(5, mode=mode).apply(images, choice), images)


@pytest.mark.parametrize(("size", "rows", "columns"), [(4, (1, 5), (2, 6)), ((5, 3), (0, 5), (2, 5))])
@pytest.mark.parametrize("padding", [0, 2])
def test_pad_crop_takes_the_centre_outside_training(padding, size, rows, columns):
    images = some_images((2, 6, 8, 3))
    result = augment.PadCrop(padding, size).evaluate(images)
    assert np.array_equal(result, images[:, slice(*rows), slice(*columns)])


def test_pad_crop_to_a_larger_size_pads_evenly_outside_training():
    images = some_images((2, 6, 7, 3))
    expected = np.pad(images, [(0, 0), (1, 1), (1, 1), (0, 0)], mode="reflect")
    assert np.array_equal(augment.PadCrop(2, (8, 9)).evaluate(images), expected)


def test_crop_pad_reflects_a_crop():
    image, padding = some_images((9, 11, 2)), 2
    offsets = list(itertools.product(range(5), range(5)))
    widths = [(padding, padding), (padding, padding), (0, 0)]
    crops = [image[top : top + 9 - 4, left : left + 11 - 4] for top, left in offsets]
    choice = {"top": column(*[top for top, _ in offsets]), "left": column(*[left for _, left in offsets])}
    result = augment.CropPad(padding).apply(np.stack([image] * 25), choice)
    assert np.array_equal(result, np.stack([np.pad(crop, widths, mode="reflect") for crop in crops]))


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize(("flip", "axis"), [(augment.HorizontalFlip(), 1), (augment.VerticalFlip(), 0)])
def test_flips_mirror_the_chosen_images(flip, axis, dtype):
    images = some_images((4, 5, 6, 3), dtype)
    chosen = column(True, False, False, True, dtype=bool)
    expected = np.stack([np.flip(image, axis) if yes else image for image, yes in zip(images, chosen)])
    assert np.array_equal(flip.apply(images, {"flip": chosen}), expected)


@pytest.mark.parametrize("side", [8, 7])
@pytest.mark.parametrize("mode", ["reflect", "edge", "constant"])
def test_rotation_by_right_angles_is_exact_and_counter_clockwise(mode, side):
    images = some_images((4, side, side, 3))
    choice = {"degrees": column(0, 90, 180, -90, dtype="float32")}
    expected = np.stack([np.rot90(image, turns) for image, turns in zip(images, (0, 1, 2, 3))])
    assert np.array_equal(augment.Rotation(180, mode).apply(images, choice), expected)


@pytest.mark.parametrize(
    ("mode", "theirs"), [("reflect", "mirror"), ("edge", "nearest"), ("constant", "grid-constant")]
)
@pytest.mark.parametrize("shape", [(9, 9), (7, 10), (12, 8)])
def test_rotation_agrees_with_scipy(shape, mode, theirs, backend):
    angles = (-75.0, -10.0, 3.5, 17.0, 45.0, 135.0)
    images = some_images((len(angles), *shape, 2), "float32")
    rotation, degrees = augment.Rotation(180, mode, fill=50), column(*angles, dtype="float32")
    rounded = rotation.apply(images, {"degrees": degrees})
    tensors = keras.ops.convert_to_tensor(images), keras.ops.convert_to_tensor(degrees)
    result = keras.ops.convert_to_numpy(rotation.apply(tensors[0], {"degrees": tensors[1]}))
    middle = (np.array(shape) - 1) / 2
    for image, angle, rotated, nearly in zip(images, np.deg2rad(angles), result, rounded):
        # (row, column) of the source: a turn to the left, where rows count downwards
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        for channel in range(2):
            expected = scipy.ndimage.affine_transform(
                image[..., channel], turn, middle - turn @ middle, order=1, mode=theirs, cval=50
            )
            np.testing.assert_allclose(rotated[..., channel], expected, atol=255 / 32 if backend == "torch" else 0.01)
            # OpenCV rounds positions to 1/32 of a pixel, and these images are noise.
            np.testing.assert_allclose(nearly[..., channel], expected, atol=255 / 32)


def test_rotation_moves_a_mark_from_the_right_to_the_top():
    image = np.zeros((1, 9, 9, 1), "float32")
    image[0, 4, 7] = 1
    result = augment.Rotation(90).apply(image, {"degrees": column(90.0, dtype="float32")})
    assert np.unravel_index(result.argmax(), result.shape) == (0, 1, 4, 0)


@pytest.mark.parametrize("mode", ["reflect", "edge"])
@pytest.mark.parametrize("shape", [(4, 16), (16, 4), (3, 20)])
def test_rotation_of_long_images_does_not_mix_them(shape, mode):
    images = np.arange(4, dtype="uint8")[:, None, None, None] * 50 + np.zeros((4, *shape, 1), "uint8")
    for angle in (45.0, 90.0):
        choice = {"degrees": column(*[angle] * 4, dtype="float32")}
        assert np.array_equal(augment.Rotation(90, mode).apply(images, choice), images)


def test_rotation_rounds_integers():
    images = some_images((1, 9, 11, 3))
    choice = {"degrees": column(20.0, dtype="float32")}
    exact = augment.Rotation(20).apply(images.astype("float32"), choice)
    np.testing.assert_allclose(augment.Rotation(20).apply(images, choice), exact, atol=0.51)


def test_gaussian_blur_agrees_with_scipy():
    sigmas = (0.3, 0.7, 1.0, 1.6)
    images = some_images((4, 9, 12, 2), "float32")
    blur = augment.GaussianBlur(1.6)
    assert blur.radius == 5
    result = blur.apply(images, {"sigma": column(*sigmas, dtype="float32")})
    for image, sigma, blurred in zip(images, sigmas, result):
        expected = scipy.ndimage.gaussian_filter(image, (sigma, sigma, 0), mode="mirror", truncate=blur.radius / sigma)
        np.testing.assert_allclose(blurred, expected, atol=0.1)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_gaussian_blur_of_no_width_changes_nothing(dtype):
    images = some_images(dtype=dtype)
    result = augment.GaussianBlur(1.0).apply(images, {"sigma": column(0, 0, 0, dtype="float32")})
    assert np.array_equal(result, images)


def test_gaussian_blur_rounds_integers():
    choice = {"sigma": column(0.5, 1.0, 1.5, dtype="float32")}
    exact = augment.GaussianBlur(1.5).apply(some_images(dtype="float32"), choice)
    assert np.array_equal(augment.GaussianBlur(1.5).apply(some_images(), choice), np.round(exact))


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_normalize_scales_each_channel(dtype):
    images, mean, std = some_images(dtype=dtype), (10.0, 100.0, 200.0), (1.0, 50.0, 80.0)
    expected = (images.astype("float64") - mean) / std
    for result in (augment.Normalize(mean, std).evaluate(images), augment.Normalize(mean, std).apply(images, {})):
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_cutout_covers_the_squares_and_nothing_else(dtype):
    images = some_images((3, 6, 8, 2), dtype)
    top, left = np.array([[0, 3], [-2, 5], [2, 2]]), np.array([[0, 5], [-1, 7], [3, 4]])
    expected = images.copy()
    for sample, square, row, col in np.ndindex(3, 2, 3, 3):
        y, x = top[sample, square] + row, left[sample, square] + col
        if 0 <= y < 6 and 0 <= x < 8:
            expected[sample, y, x] = 5
    result = augment.Cutout(3, count=2, fill=5).apply(images, {"top": top, "left": left})
    assert np.array_equal(result, expected)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("per_pixel", [True, False])
def test_random_erasing_covers_the_rectangle_and_nothing_else(per_pixel, dtype):
    images = some_images((3, 6, 8, 2), dtype)
    names = ("top", "left", "height", "width")
    choice = dict(zip(names, (column(*values) for values in ((0, 2, 1), (1, 5, 3), (6, 2, 0), (2, 3, 4)))))
    given = {"noise": np.array([[1, 2], [3, 4], [5, 6]], "int32"), "value": column(7, 9, 11, dtype="float32")}
    result = augment.RandomErasing(
        per_pixel=per_pixel, value=(300, 400) if per_pixel and dtype == "float32" else (0, 255)
    ).apply(images, choice | given)
    covered = np.zeros(images.shape, bool)
    for sample, y, x in np.ndindex(3, 6, 8):
        top, left, height, width = (choice[name][sample, 0] for name in names)
        covered[sample, y, x] = top <= y < top + height and left <= x < left + width
    assert np.array_equal(result[~covered], images[~covered])
    if not per_pixel:
        assert np.array_equal(result[covered], np.broadcast_to(given["value"][:, :, None, None], images.shape)[covered])
    elif dtype == "float32":
        assert result[covered].min() >= 300
        assert len(np.unique(result[covered])) == covered.sum()
    else:
        assert len(np.unique(result[covered])) > 0.8 * covered.sum()


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_mixup_blends_images_and_labels(dtype):
    images, labels = some_images((4, 5, 6, 3), dtype), soft_labels(4)
    weight, partner = np.array([0.9, 0.5, 0.0, 1.0], "float32"), np.array([2, 0, 3, 1])
    choice = {"weight": weight[:, None], "partner": partner}
    of_images, of_labels = weight[:, None, None, None], weight[:, None]
    floats = images.astype("float64")
    np.testing.assert_allclose(
        augment.Mixup().apply(images, choice), floats * of_images + floats[partner] * (1 - of_images), rtol=1e-5
    )
    expected = labels * of_labels + labels[partner] * (1 - of_labels)
    result = augment.Mixup().apply_labels(labels, choice)
    np.testing.assert_allclose(result, expected, rtol=1e-5)
    np.testing.assert_allclose(result.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("per", ["image", "batch"])
def test_mixup_draws_a_permutation_and_weights(per):
    choice = choose(augment.Mixup(0.4, per), samples=50)
    assert np.array_equal(np.sort(choice["partner"]), np.arange(50))
    assert len(np.unique(choice["weight"])) == (1 if per == "batch" else 50)


def test_operations_follow_one_another():
    images = some_images((5, 8, 8, 3))
    operations = [augment.PadCrop(2), augment.HorizontalFlip(), augment.Cutout(3)]
    expected = images
    for place, operation in enumerate(operations):
        stream = draws.Stream(6, 2, np.arange(5, dtype="int32"), place)
        expected = operation.apply(expected, operation.draw(stream, (8, 8, 3)))
    result, _ = augment.transform(operations, images, index=np.arange(5), seed=6, epoch=2)
    assert np.array_equal(result, expected)


def test_translation_moves_and_fills():
    images = some_images((25, 6, 7, 2))
    offsets = list(itertools.product(range(-2, 3), range(-2, 3)))
    padded = np.pad(images, [(0, 0), (2, 2), (2, 2), (0, 0)], constant_values=9)
    expected = [padded[i, 2 - down : 8 - down, 2 - right : 9 - right] for i, (down, right) in enumerate(offsets)]
    choice = {"down": column(*[down for down, _ in offsets]), "right": column(*[right for _, right in offsets])}
    assert np.array_equal(augment.Translation(2, fill=9).apply(images, choice), np.stack(expected))


@pytest.mark.parametrize(("size", "rows", "columns"), [(4, (1, 5), (1, 5)), ((5, 7), (0, 5), (0, 7))])
def test_center_crop_is_the_middle_in_training_and_outside(size, rows, columns):
    images, crop = some_images((2, 6, 7, 3)), augment.CenterCrop(size)
    expected = images[:, slice(*rows), slice(*columns)]
    assert np.array_equal(crop.evaluate(images), expected)
    assert np.array_equal(change(crop, images)[0], expected)


def test_center_crop_pads_smaller_images():
    images = some_images((2, 6, 7, 3))
    expected = np.pad(images, [(0, 0), (2, 2), (1, 0), (0, 0)], constant_values=5)
    assert np.array_equal(augment.CenterCrop((10, 8), fill=5).evaluate(images), expected)


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("size", [(5, 9), (24, 31)])
def test_random_resized_crop_scales_as_torch_does(antialias, size):
    torch = pytest.importorskip("torch")
    images = some_images((4, 20, 26, 3), "float32")
    parts = [(0, 0, 20, 26), (3, 5, 11, 13), (19, 25, 1, 1), (2, 0, 17, 4)]
    choice = dict(zip(("top", "left", "height", "width"), (column(*values) for values in zip(*parts))))
    result = augment.RandomResizedCrop(size, antialias=antialias).apply(images, choice)
    for image, (top, left, height, width), ours in zip(images, parts, result):
        part = torch.tensor(image[top : top + height, left : left + width]).permute(2, 0, 1)[None]
        theirs = torch.nn.functional.interpolate(part, size, mode="bilinear", antialias=antialias)
        np.testing.assert_allclose(ours, theirs[0].permute(1, 2, 0).numpy(), atol=1e-3)


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("size", [(5, 9), (24, 31), (20, 26)])
def test_resize_scales_as_torch_does(antialias, size):
    torch = pytest.importorskip("torch")
    images = some_images((4, 20, 26, 3), "float32")
    part = torch.tensor(images).permute(0, 3, 1, 2)
    expected = torch.nn.functional.interpolate(part, size, mode="bilinear", antialias=antialias)
    for training in (True, False):
        resized, _ = change(augment.Resize(size, antialias), images, training=training)
        np.testing.assert_allclose(resized, expected.permute(0, 2, 3, 1).numpy(), atol=1e-3)


def test_random_resized_crop_shows_the_largest_centred_part_outside_training():
    torch = pytest.importorskip("torch")
    images = some_images((2, 12, 20, 3), "float32")
    part = torch.tensor(images[:, :, 4:16]).permute(0, 3, 1, 2)
    expected = torch.nn.functional.interpolate(part, (6, 6), mode="bilinear", antialias=True).permute(0, 2, 3, 1)
    np.testing.assert_allclose(augment.RandomResizedCrop(6).evaluate(images), expected.numpy(), atol=1e-3)


@pytest.mark.parametrize(
    ("operation", "enhance"),
    [
        (augment.Brightness(), PIL.ImageEnhance.Brightness),
        (augment.Contrast(), PIL.ImageEnhance.Contrast),
        (augment.Saturation(), PIL.ImageEnhance.Color),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, augment.Operation) else "",
)
@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0, 1.7])
def test_blends_agree_with_pil(operation, enhance, factor):
    images = some_images((2, 9, 11, 3))
    result = operation.apply(images, {"factor": column(factor, factor, dtype="float32")})
    expected = [np.asarray(enhance(PIL.Image.fromarray(image)).enhance(factor)) for image in images]
    assert np.abs(result.astype(int) - np.stack(expected)).max() <= 1  # PIL rounds gray values, and then down


def test_hue_agrees_with_the_standard_library():
    images = some_images((3, 5, 4, 3), "float32") / 255
    images[0, 0, 0] = 0.5  # gray
    images[0, 0, 1] = images[0, 0, 1, ::-1]
    shifts = (-0.5, 0.13, 0.37)
    result = augment.Hue(0.5).apply(images, {"shift": column(*shifts, dtype="float32")})
    for ours, image, shift in zip(result.reshape(3, -1, 3), images.reshape(3, -1, 3), shifts):
        for pixel, original in zip(ours, image):
            hue, saturation, value = colorsys.rgb_to_hsv(*map(float, original))
            np.testing.assert_allclose(pixel, colorsys.hsv_to_rgb((hue + shift) % 1, saturation, value), atol=1e-5)


def test_colours_of_floats_stay_within_the_value_range():
    images = some_images(dtype="float32") / 255
    jitter = augment.ColorJitter(0.9, 0.9, 0.9, 0.5, value_range=(0, 1))
    result, _ = change(jitter, images)
    assert result.min() >= 0
    assert result.max() <= 1
    assert np.abs(result - images).max() > 0.1


def test_grayscale_agrees_with_pil_and_leaves_the_others_alone():
    images = some_images((2, 9, 11, 3))
    result = augment.Grayscale().apply(images, {"gray": column(True, False, dtype=bool)})
    expected = np.asarray(PIL.Image.fromarray(images[0]).convert("L"))
    assert np.abs(result[0].astype(int) - expected[..., None]).max() <= 1
    assert (result[0] == result[0, :, :, :1]).all()
    assert np.array_equal(result[1], images[1])


def test_cutmix_replaces_the_rectangle_and_mixes_labels_by_its_area():
    images = np.arange(1, 41, dtype="uint8")[:, None, None, None] + np.zeros((40, 7, 9, 2), "uint8")
    labels = np.eye(40, dtype="float32")
    cutmix = augment.CutMix()
    choice = cutmix.draw(draws.Stream(3, 0, np.arange(40, dtype="int32")), (7, 9, 2))
    result, mixed = cutmix.apply(images, choice), cutmix.apply_labels(labels, choice)
    np.testing.assert_allclose(mixed.sum(axis=1), 1, rtol=1e-6)
    for sample, image in enumerate(result):
        partner = choice["partner"][sample]
        rows, columns = np.nonzero(image[:, :, 0] == partner + 1)
        if partner != sample and len(rows):
            assert (np.ptp(rows) + 1) * (np.ptp(columns) + 1) == len(rows), "a rectangle"
        shares = np.bincount(image[:, :, 0].ravel() - 1, minlength=40) / (7 * 9)
        np.testing.assert_allclose(mixed[sample], shares, atol=1e-6)


def test_random_order_applies_in_the_drawn_order():
    images = some_images((6, 9, 9, 3))
    parts = [augment.Rotation(90), augment.Cutout(3), augment.VerticalFlip()]
    operation = augment.RandomOrder(parts)
    choice = operation.draw(draws.Stream(0, 0, np.arange(6, dtype="int32")), (9, 9, 3))
    choice["order"] = np.array(list(itertools.permutations(range(3))))
    result = operation.apply(images, choice)
    for sample, order in enumerate(choice["order"]):
        image = images[sample : sample + 1]
        for number in order:
            part = {key: values[sample : sample + 1] for key, values in choice["parts"][number].items()}
            image = parts[number].apply(image, part)
        assert np.array_equal(result[sample], image[0])


@pytest.mark.parametrize("weights", [None, (1, 0, 3)])
def test_one_of_applies_the_drawn_operation(weights):
    images = some_images((6, 9, 9, 3))
    parts = [augment.Rotation(90), augment.Cutout(3), augment.VerticalFlip(1.0)]
    operation = augment.OneOf(parts, weights)
    choice = operation.draw(draws.Stream(0, 0, np.arange(6, dtype="int32")), (9, 9, 3))
    choice["chosen"] = column(0, 1, 2, 2, 1, 0)
    alone = [part.apply(images, chosen) for part, chosen in zip(parts, choice["parts"])]
    result = operation.apply(images, choice)
    assert all(np.array_equal(result[i], alone[number][i]) for i, number in enumerate(choice["chosen"][:, 0]))


def test_random_apply_applies_all_or_nothing():
    images = some_images((3, 9, 9, 3))
    operation = augment.RandomApply([augment.VerticalFlip(1.0), augment.HorizontalFlip(1.0)])
    choice = operation.draw(draws.Stream(0, 0, np.arange(3, dtype="int32")), (9, 9, 3))
    choice["apply"] = column(True, False, True, dtype=bool)
    expected = images.copy()
    expected[[0, 2]] = images[[0, 2], ::-1, ::-1]
    assert np.array_equal(operation.apply(images, choice), expected)


def test_mixing_only_some_mixes_their_labels_only():
    images, labels = some_images((40, 9, 9, 3)), soft_labels(40)
    operation = augment.RandomApply(augment.Mixup(1.0))
    choice = operation.draw(draws.Stream(0, 0, np.arange(40, dtype="int32")), (9, 9, 3))
    result, mixed = operation.apply(images, choice), operation.apply_labels(labels, choice)
    kept = ~choice["apply"][:, 0]
    assert 5 < kept.sum() < 35
    assert np.array_equal(result[kept], images[kept].astype("float32"))
    assert np.array_equal(mixed[kept], labels[kept])
    assert (np.abs(result - images).max(axis=(1, 2, 3))[~kept] > 0).sum() > 10
