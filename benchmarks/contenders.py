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


def ours_pipeline(work):
    """Our tf.data pipeline."""

    def start(images, labels):
        size = works.BATCH_SIZES[work.side]
        return iter(augment.pipeline(images, labels, work.operations, batch_size=size, shuffle=False)).__next__

    return start


def keras_pipeline(work):
    """Keras's layers in tf.data: on single images where they draw once for all, then on batches."""
    import tensorflow as tf

    def start(images, labels):
        single, whole = work.keras()
        with tf.device("cpu"):
            arrays = images if labels is None else (images, labels)
            data = tf.data.Dataset.from_tensor_slices(arrays).repeat()
        if single:
            data = data.map(lambda *batch: _apply(single, *batch), num_parallel_calls=tf.data.AUTOTUNE)
        data = data.batch(works.BATCH_SIZES[work.side])
        if whole:
            data = data.map(lambda *batch: _apply(whole, *batch), num_parallel_calls=tf.data.AUTOTUNE)
        return iter(data.prefetch(tf.data.AUTOTUNE)).__next__

    return start


def ours_device(work):
    """Our layer on batches that lie on the device."""
    return _on_device([augment.Augmentation(work.operations)], work)


def keras_device(work):
    """Keras's layers on batches that lie on the device."""
    _, whole = (work.keras_compiled or work.keras)()
    return _on_device(whole, work)


def kornia_device(work):
    """The modules of kornia between the batches that a model of Keras takes: channels last, from 0 to 255."""
    import torch

    module = torch.no_grad()(work.kornia().__call__)

    def change(images, *classes):
        changed = module(images.permute(0, 3, 1, 2).to(torch.float32).contiguous() / 255, *classes)
        mixed = isinstance(changed, (tuple, list))
        pixels = ((changed[0] if mixed else changed) * 255).permute(0, 2, 3, 1).contiguous()
        return (pixels, *changed[1:]) if mixed else pixels

    return lambda images, labels: _cycle(torch.no_grad()(change), _tensors(_batches(work, images, labels)))


def kornia_own_layout(work):
    """The same between batches as kornia likes them: channels first, float32 from 0 to 1."""
    import torch

    module = torch.no_grad()(work.kornia().__call__)

    def convert(images, *classes):
        return (images.permute(0, 3, 1, 2).to(torch.float32).contiguous() / 255, *classes)

    return lambda images, labels: _cycle(
        module, [convert(*batch) for batch in _tensors(_batches(work, images, labels))]
    )


def _tensors(batches):
    """Tensors of torch, and labels as class numbers."""
    import torch

    return [
        (torch.from_numpy(images), *(torch.from_numpy(each.argmax(1)) for each in labels))
        for images, *labels in batches
    ]


def ours_numpy(work):
    """Our NumPy generator, without threads of its own."""

    def start(images, labels):
        size = works.BATCH_SIZES[work.side]
        data = augment.ArrayGenerator(images, labels, work.operations, batch_size=size, shuffle=False, workers=0)
        return _cycle(data.__getitem__, [(step,) for step in range(len(data))])

    return start


def imgaug_numpy(work):
    """The augmenters of imgaug, on whole batches."""
    augmenter, rng = work.imgaug(), np.random.default_rng(0)

    def change(images, labels=None):
        changed = np.stack(augmenter(images=images))  # augmenters that change the size return lists
        if labels is None:
            return changed
        weight = rng.beta(0.2, 0.2, (len(changed), 1, 1, 1)).astype("float32")
        partner = rng.permutation(len(changed))
        mixed = changed * weight + changed[partner] * (1 - weight)
        return mixed, labels * weight[:, 0, 0] + labels[partner] * (1 - weight[:, 0, 0])

    return lambda images, labels: _cycle(change, _batches(work, images, labels))


def _batches(work, images, labels):
    """A tuple for each batch: images, and labels if there are any."""
    size = works.BATCH_SIZES[work.side]
    parts = [slice(first, first + size) for first in range(0, len(images), size)]
    return [(images[part],) if labels is None else (images[part], labels[part]) for part in parts]


def _apply(layers, images, labels=None):
    for layer in layers:
        if isinstance(layer, augment.Augmentation) and labels is not None:
            images, labels = layer(images, labels, training=True)
        elif type(layer).__name__ in ("MixUp", "CutMix"):
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
        return change(*batches[number % len(batches)])

    return step


def _on_device(layers, work):
    """Layers as one function of a batch, compiled as the backend does it; torch runs it as it is."""
    apply = functools.partial(_apply, layers)
    change = None

    def start(images, labels):
        nonlocal change
        to_device = keras.ops.convert_to_tensor
        batches = [tuple(map(to_device, batch)) for batch in _batches(work, images, labels)]
        if change is None:
            apply(*batches[0])  # builds the layers
            change = _compile(apply, [variable for layer in layers for variable in getattr(layer, "variables", ())])
        return _cycle(change, batches)

    return start


def _compile(change, variables):
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(change)
    if keras.backend.backend() == "jax":
        return _jit(change, variables)
    import torch

    return torch.no_grad()(change)


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
    ("device", "kornia, own layout"): kornia_own_layout,
    ("NumPy", "ours"): ours_numpy,
    ("NumPy", "imgaug"): imgaug_numpy,
}


def prepare(work, route, library):
    """Build a contender, and show that it changes each of equal images by itself.

    Args:
        work: a `works.Work`.
        route: str.
        library: str.

    Returns:
        `(start, shown)`: a function that returns a step, and what was seen; `(None, {"absent": True})` where
        the library does not do this work.
    """
    if library != "ours" and getattr(work, library.partition(",")[0].lower()) is None:
        return None, {"absent": True}
    contender = CONTENDERS[route.partition(",")[0], library]
    images = _images(work.side).astype(work.on_device if route.startswith("device") else "uint8")
    labels = np.eye(10, dtype="float32")[np.arange(len(images)) % 10] if work.mixes else None
    equal = images.copy()
    if not work.mixes:
        equal[:] = images[0]
    start = contender(work)
    step = start(equal, labels)
    first = step()
    shown = _show(work, first)
    if work.distinct > 1 and not work.mixes:
        shown["anew"] = bool((_images_of(step()) != _images_of(first)).any())
    if library == "ours" and not (shown["per_image"] and shown.get("anew", True)):
        raise ValueError(f"{work.operations} does not change each image by itself: {shown}")
    start = functools.partial(start, images, labels)
    # tf.data works ahead: it begins and ends with each measurement. The others keep their step.
    return (start if route == "tf.data" else functools.cache(start)), shown


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


def measured(start, batch_size, seconds, warm_up):
    """Time steps for at least so long.

    Args:
        start: a function that returns a step.
        batch_size: int.
        seconds: float.
        warm_up: int. Steps before the clock starts.

    Returns:
        float. Images a second.
    """
    step = start()
    for _ in range(warm_up):  # compilation, caches, buffers
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
    known, ready = {work.name: work for work in works.WORKS}, {}
    for line in sys.stdin:
        kind, *question = json.loads(line)
        if kind == "environment":
            answer = measure.environment()
        elif kind == "forget":
            answer = ready.clear()
        elif kind == "prepare":
            name, route, library = question
            try:
                ready[name, route, library], answer = prepare(known[name], route, library)
            except Exception as error:
                if library == "ours":
                    raise
                answer = {"fails": str(error).strip().splitlines()[0][:200]}
        else:
            name, route, library, seconds = question
            size, warm_up = works.BATCH_SIZES[known[name].side], 4
            answer = measured(ready[name, route, library], size, seconds, warm_up)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
