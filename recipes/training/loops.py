"""Many training steps in one dispatch, on arrays that lie on the device: one loop for each backend."""

import keras

from augment.generator import as_batch
from augment.operation import transform
from augment.selection import numbers_may_vary


def make_loop(model, data):
    """The steps of a model on data in memory, compiled as the model is.

    Each step is the model's own `train_step`, on a batch that is gathered and augmented on the device.

    Args:
        model: a compiled `keras.Model`.
        data: a `recipes.training.memory.InMemoryData`.

    Returns:
        A function `(state, epoch, first, count, size) -> (logs, state)` that makes `count` steps of
        `size` samples, from step `first` of an epoch of the data on. The state is that of Keras's
        trainer on JAX, and None elsewhere; the logs are those of the last step.

    Example:

    >>> import numpy as np
    >>> from recipes.training.memory import InMemoryData
    >>> model = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> callable(make_loop(model, InMemoryData(np.zeros((4, 2, 2, 1)), np.zeros(4), batch_size=2)))
    True
    """
    backend = keras.backend.backend()
    arrays = [None if each is None else keras.ops.convert_to_tensor(each) for each in data.arrays]
    if backend == "torch" or model.run_eagerly or (backend == "jax" and not model.jit_compile):
        steps = _plain(model, data)
    else:
        steps = {"tensorflow": _tensorflow, "jax": _jax}[backend](model, data)
    known = {}

    def loop(state, epoch, first, count, size):
        if epoch not in known:
            known.clear()
            known[epoch] = keras.ops.convert_to_tensor(data.order(epoch))
        return steps(state, arrays, known[epoch], epoch, first, count, size)

    return loop


def _load(data, arrays, index, epoch, take):
    """The batch of these samples, augmented."""
    batch = [None if each is None else take(each, index) for each in arrays]
    return as_batch(*transform(data.operations, *batch, index=index, seed=data.seed, epoch=epoch))


def _plain(model, data):
    """A loop in Python: on torch, and where nothing is to be compiled."""
    on_jax = keras.backend.backend() == "jax"
    train = _torch_step(model) if keras.backend.backend() == "torch" else model.train_step

    def steps(state, arrays, order, epoch, first, count, size):
        for step in range(first, first + count):
            index = order[step * data.batch_size : step * data.batch_size + size]
            batch = _load(data, arrays, index, epoch, lambda each, index: keras.ops.take(each, index, axis=0))
            if on_jax:
                logs, state = train(state, batch)
            else:
                logs = train(batch)
        return logs, state

    return steps


def _torch_step(model):
    """Keras's own step, compiled if the model is to be; it takes a list of one batch."""
    kept, model.train_function = model.train_function, None
    model.make_train_function()
    function, model.train_function = model.train_function, kept
    return lambda batch: function([batch])


def _tensorflow(model, data):
    """A `tf.while_loop` in one graph. Arrays are arguments: as constants they would be part of the graph.

    With XLA the whole loop is compiled, unless our operations are made of what it cannot compile.
    """
    import tensorflow as tf

    jit = bool(model.jit_compile)
    together = jit and not (data.operations and numbers_may_vary(tf.zeros(())))
    train = model.train_step
    if jit and not together:
        train = tf.function(train, jit_compile=True, autograph=False)

    @tf.function(autograph=False)
    def load(arrays, order, epoch, number, size):
        index = tf.slice(order, [number * data.batch_size], [size])
        return _load(data, arrays, index, epoch, tf.gather)

    @tf.function(autograph=False)
    def step(arrays, order, epoch, number, size):
        # Where a step makes variables, TensorFlow traces it twice, but not what it calls.
        return train(load(arrays, order, epoch, number, size))

    outputs = {}

    def run(arrays, order, epoch, first, count, size):
        def body(number, logs):
            return number + 1, step(arrays, order, epoch, number, size)

        logs = tf.nest.map_structure(lambda log: tf.zeros(log.shape, log.dtype), outputs[size])
        return tf.while_loop(lambda number, logs: number < first + count, body, (first, logs))[1]

    run = tf.function(run, autograph=False, jit_compile=together)

    def steps(state, arrays, order, epoch, first, count, size):
        epoch, first, count = (tf.constant(value, tf.int32) for value in (epoch, first, count))
        if size not in outputs:
            # A loop must know beforehand what a step returns; and variables are made here, outside of it.
            outputs[size] = step.get_concrete_function(arrays, order, epoch, first, size).structured_outputs
        return run(arrays, order, epoch, first, count, size), state

    return steps


def _jax(model, data):
    """A `jax.lax.fori_loop` that is given the state and returns it in the same memory."""
    import functools

    import jax

    take = functools.partial(jax.numpy.take, axis=0, mode="clip")

    @functools.partial(jax.jit, static_argnames="size")
    def step(state, arrays, order, epoch, number, size):
        index = jax.lax.dynamic_slice_in_dim(order, number * data.batch_size, size)
        logs, changed = model.train_step(state, _load(data, arrays, index, epoch, take))
        return logs, jax.tree.unflatten(jax.tree.structure(state), jax.tree.leaves(changed))

    @functools.partial(jax.jit, static_argnames="size", donate_argnames="state")
    def steps(state, arrays, order, epoch, first, count, size):
        def body(number, carry):
            return step(carry[1], arrays, order, epoch, number, size)

        shapes, _ = jax.eval_shape(functools.partial(step, size=size), state, arrays, order, epoch, first)
        logs = jax.tree.map(lambda log: jax.numpy.zeros(log.shape, log.dtype), shapes)
        return jax.lax.fori_loop(first, first + count, body, (logs, state))

    return steps
