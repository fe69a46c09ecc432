"""The demo data: handwritten digits that come with scikit-learn."""

import numpy as np

from recipes.data.dataset import Dataset


def load_digits(image_size=32):
    """Load 1,797 real handwritten digits of 8x8 pixels, enlarged, as RGB images.

    Args:
        image_size: int, a multiple of 8. Defaults to 32.

    Returns:
        A `Dataset` of 1,437 training and 360 validation images, split by class.

    Raises:
        ValueError: for another size.

    Example:

    >>> load_digits().train_images.shape
    (1437, 32, 32, 3)

    Reference:
        https://archive.ics.uci.edu/dataset/80
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    if image_size < 8 or image_size % 8:
        raise ValueError(f"The digits have 8x8 pixels: `image_size` must be a multiple. Received: {image_size}")
    digits, times = load_digits(), image_size // 8
    grey = (digits.images * (255 / 16)).round().astype("uint8")  # 8x8, from 0 to 16
    images = np.repeat(grey.repeat(times, axis=1).repeat(times, axis=2)[..., None], 3, axis=-1)
    labels = digits.target.astype("int32")
    train, validation = train_test_split(np.arange(len(labels)), test_size=360, random_state=0, stratify=labels)
    names = [str(name) for name in digits.target_names]
    return Dataset("digits", images[train], labels[train], images[validation], labels[validation], names)
