"""The picture of a range test, from one that is made when the pages are built."""

import inspect

import keras

from recipes.data.digits import load_digits
from recipes.finder import LRFinder
from recipes.reporting import plots


def pages(folder):
    """The code of the test and its picture.

    Args:
        folder: where the picture goes.

    Returns:
        dict of path to Markdown.
    """
    (folder / "parts").mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(0)
    digits = load_digits()
    test = range_test(digits.train_images[:, ::4, ::4] / 255, digits.train_labels)
    plots.save(test.plot(), folder / "parts" / "range_test.svg")
    code = (
        inspect.cleandoc(inspect.getsource(range_test).partition('"""\n')[2]).replace("return ", "test = ")
        + "\ntest.plot()"
    )
    picture = "![Loss over learning rate](/generated/parts/range_test.svg)"
    return {"parts/range_test.md": f"```python\n{code}\n```\n\n{picture}\n"}


def range_test(images, labels):
    """What is shown: scikit-learn's digits, shrunk, and a network of two layers."""
    layers = [keras.layers.Flatten(), keras.layers.Dense(64, activation="relu"), keras.layers.Dense(10)]
    model = keras.Sequential([keras.Input(images.shape[1:]), *layers])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(momentum=0.9), loss)
    return LRFinder(model, min_lr=1e-5).find(images, labels, batch_size=64)
