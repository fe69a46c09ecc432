"""Many training steps in one dispatch, on arrays that lie on the device: one loop for each backend."""

import functools
import operator

import keras
import numpy as np

from augment import draws
from augment.generator import as_batch
from augment.operation import transform
from augment.selection import numbers_may_vary

_CHUNK = 4096  # samples whose choices are drawn at once


def make_loop(model, data, operations):
    """The steps of a model on data in memory, compiled as the model is.

    Each step is the model's own `train_step`, on a batch that is gathered and augmented on the device.

    Args:
        model: a compiled `keras.Model`.
        data: a `recipes.training.memory.InMemoryData`.
        operations: list of `augment` operations.

    Returns:
        A function `(state, epoch, first, count, size) -> (logs, state, failed)` that makes `count` steps of
        `size` samples, from step `first` of an epoch of the data on. The state is that of Keras's
        trainer on JAX, and None elsewhere; the logs are those of the last step. `failed` is a function
        that gives the first step whose loss was no finite number, or None: it waits for the device.

    Example:

    >>> import numpy as np
    >>> from recipes.training.memory import InMemoryData
    >>> model = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> callable(make_loop(model, InMemoryData(np.zeros((4, 2, 2, 1)), np.zeros(4), batch_size=2), []))
    True
    """
    backend = keras.backend.backend()
    if backend == "torch" or model.run_eagerly or (backend == "jax" and not model.jit_compile):
        draw, steps = _plain(model, data, operations)
    else:
        draw, steps = {"tensorflow": _tensorflow, "jax": _jax}[backend](model, data, operations)
    known = []

    def loop(state, epoch, first, count, size):
        order = data.order(epoch)
        if not known or known[0] is not order:
            # As long for some samples as for all, since the length is part of what is compiled.
            visits = np.resize(order, data.samples)
            known[:] = order, keras.ops.convert_to_tensor(visits), _draw_epoch(draw, visits, epoch)
        return steps(state, data.on_device, *known[1:], epoch, first, count, size)

    return loop


def _draw_epoch(draw, order, epoch):
    """The choices for all samples of an epoch, in their order: a step would take longer for its few.

    Some at a time, as draws may make many proposals for each sample; always as many, to compile once.
    """
    chunk = min(len(order), _CHUNK)
    chunks = -(-len(order) // chunk)
    index = np.resize(order, (chunks, chunk))
    choices = [draw(keras.ops.convert_to_tensor(part), epoch) for part in index]
    if chunks == 1:
        return choices[0]
    return keras.tree.map_structure(lambda *parts: keras.ops.concatenate(parts)[: len(order)], *choices)


def _draw(data, operations, index, epoch):
    """What the operations draw for samples; nothing for those that look at the whole batch."""
    image_shape, choices = tuple(data.images.shape[1:]), {}
    for position, operation in enumerate(operations):
        if _draws_alone(operation, position, image_shape):
            choices[position] = operation.draw(draws.Stream(data.seed, epoch, index, position), image_shape)
        image_shape = operation.output_shape(image_shape)
    return choices


def _draws_alone(operation, position, image_shape, samples=8):
    """Whether the choice for a sample is the same without the others: not where samples are mixed."""

    def choose(index):
        stream = draws.Stream(0, 0, np.array(index, "int32"), position)
        return keras.tree.flatten(operation.draw(stream, image_shape))

    together, alone = choose(range(samples)), [choose([sample]) for sample in range(samples)]
    parts = [np.concatenate(each) for each in zip(*alone)]
    return all(one.shape == other.shape and np.allclose(one, other) for one, other in zip(together, parts))


def _load(data, operations, arrays, order, choices, epoch, part, take):
    """The batch whose part of an epoch `part` cuts out, augmented."""
    index = part(order)
    batch = [None if each is None else take(each, index) for each in arrays]
    choices = keras.tree.map_structure(part, choices)
    choices = [choices.get(position) for position in range(len(operations))]
    return as_batch(*transform(operations, *batch, index=index, seed=data.seed, epoch=epoch, choices=choices))


def _noted(failed, number, logs):
    """The first step whose loss is no finite number, -1 for none: carried along, so that nothing waits for it."""
    if "loss" not in logs:
        return failed
    fails = keras.ops.logical_and(failed < 0, keras.ops.logical_not(keras.ops.isfinite(logs["loss"])))
    return keras.ops.where(fails, number, failed)


def _read(failed):
    failed = int(keras.ops.convert_to_numpy(failed))
    return None if failed < 0 else failed


def _first_of(losses, first):
    failed = (number for number, loss in enumerate(losses, first) if not np.isfinite(keras.ops.convert_to_numpy(loss)))
    return next(failed, None)


def _plain(model, data, operations):
    """A loop in Python: on torch, and where nothing is to be compiled."""
    on_jax = keras.backend.backend() == "jax"
    train = _torch_step(model) if keras.backend.backend() == "torch" else model.train_step
    take = functools.partial(keras.ops.take, axis=0)

    def steps(state, arrays, order, choices, epoch, first, count, size):
        losses = []
        for start in range(first * data.batch_size, (first + count) * data.batch_size, data.batch_size):
            part = operator.itemgetter(slice(start, start + size))
            batch = _load(data, operations, arrays, order, choices, epoch, part, take)
            if on_jax:
                logs, state = train(state, batch)
            else:
                logs = train(batch)
            losses.append(logs.get("loss", 0.0))
        return logs, state, functools.partial(_first_of, losses, first)

    return functools.partial(_draw, data, operations), steps


def _torch_step(model):
    """Keras's own step, compiled if the model is to be; it takes a list of one batch."""
    kept, model.train_function = model.train_function, None
    model.make_train_function()
    function, model.train_function = model.train_function, kept
    return lambda batch: function([batch])


def _tensorflow(model, data, operations):
    """A `tf.while_loop` in one graph. Arrays are arguments: as constants they would be part of the graph.

    With XLA the whole loop is compiled, unless our operations are made of what it cannot compile.
    """
    import tensorflow as tf

    jit = bool(model.jit_compile)
    together = jit and not (operations and numbers_may_vary(tf.zeros(())))
    train = model.train_step
    if jit and not together:
        train = tf.function(train, jit_compile=True, autograph=False)

    @tf.function(autograph=False)
    def load(arrays, order, choices, epoch, number, size):
        def part(array):
            rest = array.shape[1:]
            return tf.slice(array, [number * data.batch_size, *[0] * len(rest)], [size, *rest])

        return _load(data, operations, arrays, order, choices, epoch, part, tf.gather)

    @tf.function(autograph=False)
    def step(*where):
        # Where a step makes variables, TensorFlow traces it twice, but not what it calls.
        return train(load(*where))

    outputs = {}

    @tf.function(autograph=False, jit_compile=together)
    def run(arrays, order, choices, epoch, first, count, size):
        def body(number, failed, logs):
            logs = step(arrays, order, choices, epoch, number, size)
            return number + 1, _noted(failed, number, logs), logs

        logs = tf.nest.map_structure(lambda log: tf.zeros(log.shape, log.dtype), outputs[size])
        return tf.while_loop(lambda number, *rest: number < first + count, body, (first, tf.constant(-1), logs))[1:]

    def steps(state, arrays, order, choices, epoch, first, count, size):
        epoch, first, count = (tf.constant(value, tf.int32) for value in (epoch, first, count))
        if size not in outputs:
            # A loop must know beforehand what a step returns; and variables are made here, outside of it.
            traced = step.get_concrete_function(arrays, order, choices, epoch, first, size)
            outputs[size] = traced.structured_outputs
        failed, logs = run(arrays, order, choices, epoch, first, count, size)
        return logs, state, functools.partial(_read, failed)

    draw = tf.function(functools.partial(_draw, data, operations), autograph=False)
    return lambda index, epoch: draw(index, tf.constant(epoch, tf.int32)), steps


def _jax(model, data, operations):
    """A `jax.lax.fori_loop` that is given the state and returns it in the same memory."""
    import jax

    take = functools.partial(jax.numpy.take, axis=0, mode="clip")

    @functools.partial(jax.jit, static_argnames="size")
    def step(state, arrays, order, choices, epoch, number, size):
        def part(array):
            return jax.lax.dynamic_slice_in_dim(array, number * data.batch_size, size)

        logs, changed = model.train_step(state, _load(data, operations, arrays, order, choices, epoch, part, take))
        return logs, jax.tree.unflatten(jax.tree.structure(state), jax.tree.leaves(changed))

    @functools.partial(jax.jit, static_argnames="size", donate_argnames="state")
    def loop(state, arrays, order, choices, epoch, first, count, size):
        def body(number, carry):
            _, state, failed = carry
            logs, state = step(state, arrays, order, choices, epoch, number, size)
            return logs, state, _noted(failed, number, logs)

        one = functools.partial(step, size=size)
        shapes, _ = jax.eval_shape(one, state, arrays, order, choices, epoch, first)
        logs = jax.tree.map(lambda log: jax.numpy.zeros(log.shape, log.dtype), shapes)
        return jax.lax.fori_loop(first, first + count, body, (logs, state, jax.numpy.int32(-1)))

    def steps(*arguments):
        logs, state, failed = loop(*arguments)
        return logs, state, functools.partial(_read, failed)

    return jax.jit(functools.partial(_draw, data, operations)), steps
