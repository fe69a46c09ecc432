"""One process of `operations.py`: builds contenders, shows that they do the work, times them when asked.

Reads questions from its standard input and writes answers, both as lines of JSON.
"""

import functools
import json
import os
import sys
import time

import keras
import measure
import numpy as np
import works

import augment

_EQUAL = 64


def ours_pipeline(work, images, labels):
    """Our tf.data pipeline."""
    size = works.BATCH_SIZES[work.side]
    data = augment.pipeline(images, labels, work.operations, batch_size=size, shuffle=False)
    return lambda: functools.partial(next, iter(data))


def keras_pipeline(work, images, labels):
    """Keras's layers in tf.data: on single images where they draw once for all, then on batches."""
    import tensorflow as tf

    single, whole = work.keras()
    with tf.device("cpu"):
        arrays = images if labels is None else (images, labels)
        data = tf.data.Dataset.from_tensor_slices(arrays).repeat()
    if single:
        data = data.map(lambda *batch: _apply(single, *batch), num_parallel_calls=tf.data.AUTOTUNE)
    data = data.batch(works.BATCH_SIZES[work.side])
    if whole:
        data = data.map(lambda *batch: _apply(whole, *batch), num_parallel_calls=tf.data.AUTOTUNE)
    data = data.prefetch(tf.data.AUTOTUNE)
    return lambda: functools.partial(next, iter(data))


def ours_device(work, images, labels):
    """Our layer on batches that lie on the device."""
    return _on_device([augment.Augmentation(work.operations)], work, images, labels)


def keras_device(work, images, labels):
    """Keras's layers on batches that lie on the device."""
    _, whole = (work.keras_compiled or work.keras)()
    return _on_device(whole, work, images, labels)


def kornia_device(work, images, labels):
    """The modules of kornia on batches of float32 from 0 to 1, channels first."""
    import torch

    module = work.kornia()
    batches = [
        (torch.from_numpy(batch.transpose(0, 3, 1, 2) / np.float32(255)).contiguous(), classes)
        for batch, classes in _batches(work, images, labels)
    ]
    batches = [(b, None if c is None else torch.from_numpy(c.argmax(1))) for b, c in batches]

    def change(batch):
        with torch.no_grad():
            return module(batch[0]) if labels is None else module(*batch)

    return lambda: _cycle(change, batches)


def ours_numpy(work, images, labels):
    """Our NumPy generator, without threads of its own."""
    size = works.BATCH_SIZES[work.side]
    data = augment.ArrayGenerator(images, labels, work.operations, batch_size=size, shuffle=False, workers=0)
    return lambda: _cycle(lambda step: data[step], list(range(len(data))))


def imgaug_numpy(work, images, labels):
    """The augmenters of imgaug, on whole batches."""
    augmenter, rng = work.imgaug(), np.random.default_rng(0)

    def change(batch):
        changed = np.stack(augmenter(images=batch[0]))  # augmenters that change the size return lists
        if not work.mixes:
            return changed
        weight = rng.beta(0.2, 0.2, (len(changed), 1, 1, 1)).astype("float32")
        partner = rng.permutation(len(changed))
        mixed = changed * weight + changed[partner] * (1 - weight)
        return mixed, batch[1] * weight[:, 0, 0] + batch[1][partner] * (1 - weight[:, 0, 0])

    return lambda: _cycle(change, _batches(work, images, labels))


def _batches(work, images, labels):
    size = works.BATCH_SIZES[work.side]
    parts = [slice(first, first + size) for first in range(0, len(images), size)]
    return [(images[part], None if labels is None else labels[part]) for part in parts]


def _apply(layers, images, labels=None):
    for layer in layers:
        if isinstance(layer, augment.Augmentation) and labels is not None:
            images, labels = layer(images, labels, training=True)
        elif type(layer).__name__ == "MixUp":
            mixed = layer({"images": images, "labels": labels}, training=True)
            images, labels = mixed["images"], mixed["labels"]
        else:
            images = layer(images, training=True)
    return images if labels is None else (images, labels)


def _cycle(change, batches):
    number = 0

    def step():
        nonlocal number
        number += 1
        return change(batches[number % len(batches)])

    return step


def _on_device(layers, work, images, labels):
    """Layers as one function of a batch, compiled as the backend does it; torch runs it as it is."""
    batches = [
        tuple(keras.ops.convert_to_tensor(array) for array in batch if array is not None)
        for batch in _batches(work, images, labels)
    ]
    change = functools.partial(_apply, layers)
    change(*batches[0])  # builds the layers
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        change = tf.function(change)
    elif keras.backend.backend() == "jax":
        change = _jit(change, [variable for layer in layers for variable in getattr(layer, "variables", ())])
    else:
        import torch

        change = torch.no_grad()(change)
    return lambda: _cycle(lambda batch: change(*batch), batches)


def _jit(change, variables):
    import jax

    @jax.jit
    def run(state, *batch):
        with keras.StatelessScope(list(zip(variables, state))) as scope:
            outputs = change(*batch)
        return outputs, [scope.get_current_value(variable) for variable in variables]

    state = [variable.value for variable in variables]

    def step(*batch):
        nonlocal state
        outputs, state = run(state, *batch)
        return outputs

    return step


CONTENDERS = {
    ("tf.data", "ours"): ours_pipeline,
    ("tf.data", "Keras"): keras_pipeline,
    ("device", "ours"): ours_device,
    ("device", "Keras"): keras_device,
    ("device", "kornia"): kornia_device,
    ("NumPy", "ours"): ours_numpy,
    ("NumPy", "imgaug"): imgaug_numpy,
}


def prepare(work, route, library, dtype):
    """Build a contender, and show that it changes each of equal images by itself.

    Args:
        work: a `works.Work`.
        route: str.
        library: str.
        dtype: str.

    Returns:
        `(start, shown)`: a function that returns a step, and what was seen; `(None, {"absent": True})` where
        the library does not do this work.
    """
    if library != "ours" and getattr(work, library.lower()) is None:
        return None, {"absent": True}
    contender = CONTENDERS[route.partition(",")[0], library]
    images = _images(work.side).astype(dtype)
    labels = np.eye(10, dtype="float32")[np.arange(len(images)) % 10] if work.mixes else None
    equal = images.copy()
    if not work.mixes:
        equal[:] = images[0]
    step = contender(work, equal, labels)()
    shown = _show(work, step())
    if work.distinct > 1:
        again = [_images_of(step()) for _ in range(4)]
        shown["anew"] = any((batch != again[0]).any() for batch in again)
    if library == "ours" and not (shown["per_image"] and shown.get("anew", True)):
        raise ValueError(f"{work.operations} does not change each image by itself: {shown}")
    return contender(work, images, labels), shown


@functools.cache
def _images(side):
    return works.make_images(side)


def _show(work, outputs):
    mixed = outputs[1] if isinstance(outputs, (tuple, list)) and len(outputs) > 1 else None
    images = _images_of(outputs)
    shown = {"dtype": str(images.dtype)}
    if work.mixes:
        weights = _to_numpy(mixed)
        weights = weights[0] if weights.ndim == 3 else weights
        # kornia returns the two classes and the weight, the others soft labels
        values = weights[:_EQUAL, -1] if weights.shape[1] == 3 else weights[:_EQUAL].max(1)
        shown["distinct"] = len(np.unique(values.round(5)))
    else:
        shown["distinct"] = len(np.unique(images[:_EQUAL].reshape(min(_EQUAL, len(images)), -1), axis=0))
    shown["per_image"] = shown["distinct"] >= min(work.distinct, len(images) * 3 // 4)
    return shown


def _images_of(outputs):
    return _to_numpy(outputs[0] if isinstance(outputs, (tuple, list)) else outputs)


def _to_numpy(array):
    if isinstance(array, np.ndarray):
        return array
    return array.numpy() if hasattr(array, "numpy") else np.asarray(array)


def measured(start, batch_size, seconds):
    """Time steps for at least so long.

    Args:
        start: a function that returns a step.
        batch_size: int.
        seconds: float.

    Returns:
        float. Images a second.
    """
    step = start()
    for _ in range(3):  # compilation, caches, buffers
        _wait(step())
    steps, begin = 0, time.perf_counter()
    while steps < 2 or time.perf_counter() - begin < seconds:
        _wait(step())
        steps += 1
    return batch_size * steps / (time.perf_counter() - begin)


def _wait(outputs):
    """Until the device has made the whole batch."""
    if keras.backend.backend() == "jax":
        import jax

        jax.block_until_ready(outputs)
    else:
        image = outputs[0] if isinstance(outputs, (tuple, list)) else outputs
        float(image[0, 0, 0, 0])


def main():
    """Answer questions until there are no more."""
    # Libraries print what they like; answers go by themselves.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    dtype, known, ready = sys.argv[1], {work.name: work for work in works.WORKS}, {}
    for line in sys.stdin:
        kind, *question = json.loads(line)
        if kind == "environment":
            answer = measure.environment()
        elif kind == "forget":
            answer = ready.clear()
        elif kind == "prepare":
            name, route, library = question
            try:
                ready[name, route, library], answer = prepare(known[name], route, library, dtype)
            except Exception as error:
                if library == "ours":
                    raise
                answer = {"fails": str(error).strip().splitlines()[0][:200]}
        else:
            name, route, library, seconds = question
            answer = measured(ready[name, route, library], works.BATCH_SIZES[known[name].side], seconds)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
