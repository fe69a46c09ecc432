"""CIFAR-10: 60,000 colour images of 32x32 pixels in ten classes."""

import pathlib

import numpy as np

from recipes.data.dataset import Dataset
from recipes.data.pickled_arrays import as_array
from recipes.data.pickled_arrays import read_pickle

CLASS_NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
_TRAIN_FILES = [f"data_batch_{number}" for number in range(1, 6)]
_TEST_FILE = "test_batch"
_FOLDER = "cifar-10-batches-py"


def load_cifar10(data_dir=None):
    """Load CIFAR-10 from a folder, or through `keras.datasets`.

    Args:
        data_dir: path of `cifar-10-batches-py` as published, or of the folder that holds it; None
            downloads it once, to Keras's cache. Defaults to None.

    Returns:
        A `Dataset` of 50,000 training and 10,000 validation images.

    Raises:
        ValueError: if files are missing, truncated, or something else.

    Example:

    >>> load_cifar10("nowhere")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: ...

    Reference:
        https://www.cs.toronto.edu/~kriz/cifar.html
    """
    if data_dir is None:
        train, validation = _download()
    else:
        folder = _find_folder(pathlib.Path(data_dir))
        batches = [_read_batch(folder / name) for name in _TRAIN_FILES]
        train = tuple(np.concatenate(arrays) for arrays in zip(*batches))
        validation = _read_batch(folder / _TEST_FILE)
    return Dataset("cifar10", *train, *validation, CLASS_NAMES)


def _download():
    import keras

    from zoo.checkpoints import reason_of

    try:
        splits = keras.datasets.cifar10.load_data()
    except Exception as error:
        raise ValueError(
            f"CIFAR-10 could not be downloaded ({reason_of(error)}). Download cifar-10-python.tar.gz from "
            "https://www.cs.toronto.edu/~kriz/cifar.html, unpack it, and pass the folder as data_dir (--data-dir)."
        ) from error
    return [(images, labels[:, 0].astype("int32")) for images, labels in splits]


def _find_folder(folder):
    for candidate in (folder, folder / _FOLDER):
        if (candidate / _TEST_FILE).is_file():
            missing = [name for name in _TRAIN_FILES if not (candidate / name).is_file()]
            if missing:
                raise ValueError(f"{candidate} lacks {', '.join(missing)}. Unpack cifar-10-python.tar.gz again.")
            return candidate
    raise ValueError(
        f"`data_dir` must hold {_TEST_FILE} and data_batch_1 to data_batch_5, as in {_FOLDER}. Received: {folder}"
    )


def _read_batch(path):
    from zoo.checkpoints import reason_of

    try:
        content = read_pickle(path)
        content = {key.decode() if isinstance(key, bytes) else key: value for key, value in content.items()}
        images, labels = as_array(content["data"]), as_array(content["labels"])
    except Exception as error:  # damaged pickles raise nearly anything
        raise ValueError(
            f"{path} is truncated or no batch of CIFAR-10 ({reason_of(error)}). Unpack it again."
        ) from error
    if images.dtype != np.uint8 or images.ndim != 2 or images.shape[1] != 3072:
        raise ValueError(f"{path} must hold uint8 images of shape (n, 3072). Received: {images.dtype} {images.shape}")
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu" or not np.isin(labels, range(10)).all():
        raise ValueError(f"{path} must hold a label from 0 to 9 for each of its {len(images)} images.")
    return images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).copy(), labels.astype("int32")
