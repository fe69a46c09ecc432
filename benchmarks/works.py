"""What `operations.py` races: for each work, our operations and the same by Keras's layers, imgaug and kornia.

Each peer is a function without arguments that builds what it needs and returns a function of a batch.
"""

import dataclasses
import typing

import numpy as np

import augment

SMALL, LARGE, CUT = 32, 160, 128
BATCH_SIZES = {SMALL: 512, LARGE: 32}
PADDING, SQUARE = 4, 8


@dataclasses.dataclass(frozen=True)
class Work:
    """One row of the table.

    Args:
        name: str.
        operations: list of `augment.Operation`: ours.
        keras: a function that returns `(single, whole)`: layers for single images, because they draw
            once for all that they are given, and layers for whole batches. Or None.
        keras_compiled: the same for the device, where single images are slow; `keras` if it is None.
        imgaug: a function that returns an augmenter, or None.
        kornia: a function that returns a module, or None.
        side: int. Height and width of the images.
        mixes: bool. Whether labels are mixed, too.
        distinct: int. So many different results, at least, come of 64 equal images; 1 where nothing
            is random.
        on_device: str. The dtype of batches on the device.
        note: str. What is not quite equal.
    """

    name: str
    operations: list
    keras: typing.Callable | None = None
    keras_compiled: typing.Callable | None = None
    imgaug: typing.Callable | None = None
    kornia: typing.Callable | None = None
    side: int = SMALL
    mixes: bool = False
    distinct: int = 30
    on_device: str = "float32"
    note: str = ""


def _layer(name, *arguments, **options):
    """A layer of Keras in float32, whatever the global policy is."""
    import keras

    return getattr(keras.layers, name)(*arguments, **options, dtype="float32")


def _iaa():
    import imgaug.augmenters

    return imgaug.augmenters


def _kornia():
    import kornia.augmentation

    return kornia.augmentation


class _Pad:
    """Reflection around single images or batches, before Keras crops."""

    def __call__(self, images, training):
        import keras

        margins = [(PADDING, PADDING), (PADDING, PADDING), (0, 0)]
        return keras.ops.pad(images, margins if len(images.shape) == 3 else [(0, 0), *margins], mode="reflect")


def _as_float(images, training):
    """Two of Keras's layers refuse uint8 outside tf.data."""
    import keras

    return keras.ops.cast(images, "float32")


def _keras_crop():
    return [_Pad(), _layer("RandomCrop", SMALL, SMALL)], []


def _keras_shift():
    shift = PADDING / SMALL
    return [], [_layer("RandomTranslation", shift, shift, fill_mode="reflect", interpolation="nearest")]


def _keras_cutout():
    area = (SQUARE / SMALL) ** 2
    # A factor of 1.0 would mean a probability that is itself drawn from 0 to 1.
    return _layer("RandomErasing", factor=(1.0, 1.0), scale=(area, area), fill_value=0)


def _keras_some(shift):
    single, whole = shift()
    return single, [*whole, _layer("RandomFlip", "horizontal"), _keras_cutout()]


def _keras_all(shift):
    single, whole = _keras_some(shift)
    return single, [*whole, _layer("MixUp", 0.2)]


def _imgaug_crop():
    pad = _iaa().Pad(px=PADDING, pad_mode="reflect", keep_size=False)
    return _iaa().Sequential([pad, _iaa().CropToFixedSize(SMALL, SMALL)])


def _imgaug_cutout():
    return _iaa().Cutout(1, position="uniform", size=SQUARE / SMALL, fill_mode="constant", cval=0)


def _imgaug_some():
    return _iaa().Sequential([_imgaug_crop(), _iaa().Fliplr(0.5), _imgaug_cutout()])


def _kornia_crop():
    return _kornia().RandomCrop((SMALL, SMALL), padding=PADDING, padding_mode="reflect", cropping_mode="resample")


def _kornia_cutout():
    area = (SQUARE / SMALL) ** 2
    return _kornia().RandomErasing(scale=(area, area), ratio=(1.0, 1.0), value=0.0, p=1.0)


def _kornia_mixup():
    return _kornia().RandomMixUpV2(p=1.0, data_keys=["input", "class"])


def _kornia_cutmix():
    return _kornia().RandomCutMixV2(p=1.0, data_keys=["input", "class"])


def _imgaug_jitter():
    parts = [
        _iaa().MultiplyBrightness((0.6, 1.4)),
        _iaa().LinearContrast((0.6, 1.4)),
        _iaa().MultiplySaturation((0.6, 1.4)),
        _iaa().AddToHue((-25, 25)),
    ]
    return _iaa().Sequential(parts, random_order=True)


def _imgaug_resized_crop():
    return _iaa().Sequential([_iaa().Crop(percent=(0, 0.3), keep_size=False), _iaa().Resize(CUT, "linear")])


def _whole(name, *arguments, **options):
    """A layer of Keras that draws for each image of a batch."""
    return lambda: ([], [_layer(name, *arguments, **options)])


def _kornia_some():
    return _kornia().ImageSequential(_kornia_crop(), _kornia().RandomHorizontalFlip(0.5), _kornia_cutout())


def _kornia_all():
    sequence, mixup = _kornia_some(), _kornia_mixup()
    return lambda images, labels: mixup(sequence(images), labels)


WORKS = [
    Work(
        "pad-crop, flip, cutout, mixup",
        [augment.PadCrop(PADDING), augment.HorizontalFlip(), augment.Cutout(SQUARE), augment.Mixup(0.2)],
        keras=lambda: _keras_all(_keras_crop),
        keras_compiled=lambda: _keras_all(_keras_shift),
        imgaug=_imgaug_some,
        kornia=_kornia_all,
        mixes=True,
        note="imgaug has no mixup: a line of NumPy does it",
        on_device="uint8",
    ),
    Work(
        "pad-crop",
        [augment.PadCrop(PADDING)],
        keras=_keras_crop,
        keras_compiled=_keras_shift,
        imgaug=_imgaug_crop,
        kornia=_kornia_crop,
        note="Keras: RandomCrop on single images in tf.data; on the device RandomTranslation, which repeats the edge",
    ),
    Work(
        "pad-crop, flip, cutout",
        [augment.PadCrop(PADDING), augment.HorizontalFlip(), augment.Cutout(SQUARE)],
        keras=lambda: _keras_some(_keras_crop),
        keras_compiled=lambda: _keras_some(_keras_shift),
        imgaug=_imgaug_some,
        kornia=_kornia_some,
        on_device="uint8",
    ),
    Work(
        "horizontal flip",
        [augment.HorizontalFlip()],
        keras=_whole("RandomFlip", "horizontal"),
        imgaug=lambda: _iaa().Fliplr(0.5),
        kornia=lambda: _kornia().RandomHorizontalFlip(0.5),
        distinct=2,
    ),
    Work(
        "vertical flip",
        [augment.VerticalFlip()],
        keras=_whole("RandomFlip", "vertical"),
        imgaug=lambda: _iaa().Flipud(0.5),
        kornia=lambda: _kornia().RandomVerticalFlip(0.5),
        distinct=2,
    ),
    Work(
        "cutout",
        [augment.Cutout(SQUARE)],
        keras=lambda: ([], [_keras_cutout()]),
        imgaug=_imgaug_cutout,
        kornia=_kornia_cutout,
        note="imgaug clips squares at the edges",
    ),
    Work(
        "random erasing, one value",
        [augment.RandomErasing(0.5, per_pixel=False)],
        keras=_whole("RandomErasing", factor=(0.5, 0.5), scale=(0.02, 0.4), fill_value=127),
        kornia=lambda: _kornia().RandomErasing(scale=(0.02, 0.4), ratio=(0.3, 1 / 0.3), value=0.5, p=0.5),
        distinct=15,
        note="the peers' value is fixed",
    ),
    Work(
        "random erasing, noise",
        [augment.RandomErasing(0.5)],
        keras=_whole("RandomErasing", factor=(0.5, 0.5), scale=(0.02, 0.4), fill_value=None),
        imgaug=lambda: _iaa().Sometimes(0.5, _iaa().Cutout(1, size=(0.14, 0.63), squared=False, fill_mode="gaussian")),
        distinct=15,
        note="kornia has none; Keras and imgaug draw from normal distributions",
    ),
    Work(
        "mixup",
        [augment.Mixup(0.2)],
        keras=_whole("MixUp", 0.2),
        kornia=_kornia_mixup,
        mixes=True,
        note="kornia's weights are uniform",
    ),
    Work(
        "normalize",
        [augment.Normalize((125.3, 123.0, 113.9), (63.0, 62.1, 66.7))],
        keras=_whole("Normalization", mean=(125.3, 123.0, 113.9), variance=(63.0**2, 62.1**2, 66.7**2)),
        kornia=lambda: _kornia().Normalize(mean=(0.4914, 0.4822, 0.4465), std=(0.247, 0.2435, 0.2616)),
        distinct=1,
    ),
    Work(
        "rotation",
        [augment.Rotation(15)],
        keras=_whole("RandomRotation", 15 / 360, fill_mode="constant"),
        imgaug=lambda: _iaa().Rotate((-15, 15), order=1, mode="constant"),
        kornia=lambda: _kornia().RandomRotation(15.0, p=1.0),
        side=LARGE,
    ),
    Work(
        "gaussian blur",
        [augment.GaussianBlur((0.1, 2.0))],
        keras=lambda: (
            [_layer("RandomGaussianBlur", factor=(1.0, 1.0), kernel_size=13, sigma=(0.1, 2.0))],
            [],
        ),
        keras_compiled=_whole("RandomGaussianBlur", factor=(1.0, 1.0), kernel_size=13, sigma=(0.1, 2.0)),
        imgaug=lambda: _iaa().GaussianBlur((0.1, 2.0)),
        kornia=lambda: _kornia().RandomGaussianBlur((13, 13), (0.1, 2.0), p=1.0),
        side=LARGE,
        note="kernels of 13 taps; imgaug's are as long as sigma asks",
    ),
    Work(
        "cutmix",
        [augment.CutMix(1.0)],
        keras=_whole("CutMix"),
        kornia=_kornia_cutmix,
        mixes=True,
        distinct=5,  # many boxes have the same area, or none
    ),
    Work(
        "translation",
        [augment.Translation(PADDING)],
        keras=_whole("RandomTranslation", 0.125, 0.125, fill_mode="constant", interpolation="nearest"),
        imgaug=lambda: _iaa().Affine(translate_px={"x": (-PADDING, PADDING), "y": (-PADDING, PADDING)}, order=0),
        kornia=lambda: _kornia().RandomTranslate((-0.125, 0.125), (-0.125, 0.125), resample="NEAREST", p=1.0),
    ),
    Work(
        "colour jitter",
        [augment.ColorJitter(0.4, 0.4, 0.4, 0.1)],
        keras=_whole(
            "RandomColorJitter",
            brightness_factor=0.4,
            contrast_factor=0.4,
            saturation_factor=(0.3, 0.7),
            hue_factor=(0.0, 0.1),
        ),
        imgaug=_imgaug_jitter,
        kornia=lambda: _kornia().ColorJitter(0.4, 0.4, 0.4, 0.1),
        side=LARGE,
        note="in an order of its own for each image (ours), for each batch (imgaug, kornia), always the same (Keras)",
    ),
    Work(
        "brightness",
        [augment.Brightness(0.4)],
        keras=_whole("RandomBrightness", 0.4),
        imgaug=lambda: _iaa().Multiply((0.6, 1.4)),
        kornia=lambda: _kornia().ColorJitter(brightness=0.4),
        side=LARGE,
        note="Keras adds instead of multiplying",
    ),
    Work(
        "contrast",
        [augment.Contrast(0.4)],
        keras=lambda: ([], [_as_float, _layer("RandomContrast", 0.4)]),
        imgaug=lambda: _iaa().LinearContrast((0.6, 1.4)),
        kornia=lambda: _kornia().ColorJitter(contrast=0.4),
        side=LARGE,
        note="imgaug's is about 128, not about the mean",
    ),
    Work(
        "saturation",
        [augment.Saturation(0.4)],
        keras=lambda: ([], [_as_float, _layer("RandomSaturation", (0.3, 0.7))]),
        imgaug=lambda: _iaa().MultiplySaturation((0.6, 1.4)),
        kornia=lambda: _kornia().ColorJitter(saturation=0.4),
        side=LARGE,
    ),
    Work(
        "hue",
        [augment.Hue(0.1)],
        keras=_whole("RandomHue", (0.0, 0.1)),
        imgaug=lambda: _iaa().AddToHue((-25, 25)),
        kornia=lambda: _kornia().ColorJitter(hue=0.1),
        side=LARGE,
    ),
    Work(
        "grayscale",
        [augment.Grayscale(0.5)],
        keras=_whole("RandomGrayscale", 0.5),
        imgaug=lambda: _iaa().Sometimes(0.5, _iaa().Grayscale(1.0)),
        kornia=lambda: _kornia().RandomGrayscale(p=0.5),
        side=LARGE,
        distinct=2,
    ),
    Work(
        "random resized crop",
        [augment.RandomResizedCrop(CUT, antialias=False)],
        imgaug=_imgaug_resized_crop,
        kornia=lambda: _kornia().RandomResizedCrop((CUT, CUT)),
        side=LARGE,
        note=f"to {CUT} pixels; Keras has none; without anti-aliasing, which no peer has; imgaug draws four margins "
        "instead of area and aspect",
    ),
    Work(
        "centre crop",
        [augment.CenterCrop(CUT)],
        keras=_whole("CenterCrop", CUT, CUT),
        imgaug=lambda: _iaa().CenterCropToFixedSize(CUT, CUT),
        kornia=lambda: _kornia().CenterCrop(CUT),
        side=LARGE,
        distinct=1,
        note=f"to {CUT} pixels",
    ),
]


def make_images(side):
    """Real pictures, cut and scaled: four batches.

    Args:
        side: int.

    Returns:
        uint8 `(samples, side, side, 3)`.
    """
    from PIL import Image
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(image) for image in load_sample_images().images]
    images = []
    for number in range(4 * BATCH_SIZES[side]):
        left, top = rng.integers(0, 400), rng.integers(0, 187)
        box = (left, top, left + 240, top + 240)
        images.append(np.asarray(pictures[number % 2].resize((side, side), Image.Resampling.BOX, box)))
    return np.stack(images)
