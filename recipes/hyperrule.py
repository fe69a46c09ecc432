"""The BiT-HyperRule: how a BiT is fine-tuned on any data set, without a search."""

import dataclasses

import augment
from recipes.schedules import BiTHyperRule
from recipes.schedules.hyperrule import hyperrule_lengths
from recipes.schedules.schedule import check_positive

# Pixels of BiT are between -1 and 1.
MEAN = STD = (127.5, 127.5, 127.5)


@dataclasses.dataclass(frozen=True)
class HyperRule:
    """What the rule says of one data set; `dataclasses.replace` departs from it.

    Beside it: SGD with a momentum of 0.9, not Nesterov's, without weight decay; softmax and
    cross-entropy; all layers are trained.

    Args:
        steps: int. Length of the training, in updates.
        learning_rate: `recipes.schedules.BiTHyperRule`.
        mixup_alpha: float. Of the mixing of images; 0 for none.
        resize_size: int. Height and width to which a training image is scaled, whatever its aspect.
        crop_size: int. Height and width of the part that is cut from it, and of an image to evaluate.
        momentum: float. Defaults to 0.9.

    Example:

    >>> hyperrule(7000, (360, 363)).crop_size
    480
    """

    steps: int
    learning_rate: BiTHyperRule
    mixup_alpha: float
    resize_size: int
    crop_size: int
    momentum: float = 0.9

    def training_operations(self):
        """What a training image goes through; with mixup, labels must be one-hot.

        Returns:
            list of operations of `augment`.

        Example:

        >>> [type(each).__name__ for each in hyperrule(50_000, 32).training_operations()]
        ['Resize', 'PadCrop', 'HorizontalFlip', 'Normalize', 'Mixup']
        """
        operations = [
            augment.Resize(self.resize_size),
            augment.PadCrop(0, size=self.crop_size),
            augment.HorizontalFlip(),
            augment.Normalize(MEAN, STD),
        ]
        return operations + ([augment.Mixup(self.mixup_alpha, per="batch")] if self.mixup_alpha else [])

    def evaluation_operations(self):
        """What an image to evaluate goes through: it is scaled to the size of the crop, whole.

        Returns:
            list of operations of `augment`.

        Example:

        >>> hyperrule(50_000, 32).evaluation_operations()[0]
        Resize(size=128, antialias=True)
        """
        return [augment.Resize(self.crop_size), augment.Normalize(MEAN, STD)]


def hyperrule(num_samples, image_size, batch_size=None, base_lr=0.003, total_steps=None):
    """The BiT-HyperRule for a data set.

    Args:
        num_samples: int. Training samples; below 20,000 nothing is mixed.
        image_size: int or (height, width). Size of the images as they come: of fewer than 96x96 pixels
            they are scaled to 160x160, parts of 128x128 are cut; others 512x512, and 480x480.
        batch_size: int, to which the learning rate and the steps are scaled; None for those of the
            published batches of 512: see `recipes.schedules.bit_hyperrule`. Defaults to None.
        base_lr: float. The highest learning rate, for batches of 512. Defaults to 0.003.
        total_steps: int, to which the training is shortened or lengthened, or None. Defaults to None.

    Returns:
        A `HyperRule`.

    Raises:
        ValueError: for a number that is not positive.

    Example:

    >>> rule = hyperrule(7000, (360, 363), batch_size=32)
    >>> rule.steps, rule.mixup_alpha, rule.resize_size
    (8000, 0.0, 512)
    >>> dataclasses.replace(rule, resize_size=160, crop_size=128).evaluation_operations()[0].size
    128

    Reference:
        https://arxiv.org/abs/1912.11370
        https://github.com/google-research/big_transfer
    """
    height, width = image_size if isinstance(image_size, (tuple, list)) else (image_size, image_size)
    check_positive("image_size", min(height, width))
    is_small = height * width < 96 * 96
    return HyperRule(
        steps=hyperrule_lengths(num_samples, batch_size, total_steps).steps,
        learning_rate=BiTHyperRule(num_samples, batch_size, base_lr, total_steps),
        mixup_alpha=0.0 if num_samples < 20_000 else 0.1,
        resize_size=160 if is_small else 512,
        crop_size=128 if is_small else 480,
    )
