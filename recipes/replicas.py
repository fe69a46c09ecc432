"""What computes on several devices at once: how many there are, and what they have in common.

On TensorFlow a step runs once for each device, a replica, with its share of the batch: a sum over the batch is then
one of several. On JAX arrays are whole, however many devices they lie on, and on one device there is one replica:
there nothing of this does anything.
"""

import contextlib

import keras
import numpy as np


def count_replicas():
    """For how many replicas the code is run that asks.

    Returns:
        int. 1 outside of a step, and wherever a batch is whole.

    Example:

    >>> count_replicas()
    1
    """
    context = _context()
    return 1 if context is None else context.num_replicas_in_sync


def mean_over_replicas(value):
    """The mean of what each replica has, of which gradients are taken as of any other.

    Args:
        value: float tensor.

    Returns:
        Tensor of the same shape; outside of replicas the value itself.

    Example:

    >>> mean_over_replicas(3.0)
    3.0
    """
    if count_replicas() == 1:
        return value
    import tensorflow as tf

    return _context().all_reduce(tf.distribute.ReduceOp.MEAN, value)


def cond(condition, when, otherwise, *values):
    """Do one thing or another, where both may update variables, and reduce over replicas.

    `keras.ops.cond` alone can do neither in a replica of several: a branch would be entered by each of them, and
    could not wait for the others. Not for JAX, on which branches have no state.

    Args:
        condition: bool tensor, the same in all replicas.
        when: function of the values, run if it holds.
        otherwise: function of the values, run if not.
        *values: lists of tensors, or tensors, each replica's own.

    Example:

    >>> cond(keras.ops.convert_to_tensor(True), lambda value: None, lambda value: None, 2.0)
    """
    if count_replicas() == 1:
        keras.ops.cond(condition, lambda: _nothing(when(*values)), lambda: _nothing(otherwise(*values)))
        return

    def choose(strategy, condition, *values):
        first = strategy.experimental_local_results(condition)[0]
        each = strategy.extended.call_for_each_replica
        keras.ops.cond(first, lambda: _nothing(each(when, args=values)), lambda: _nothing(each(otherwise, args=values)))

    _context().merge_call(choose, args=(condition, *values))


def run_in_replicas(function):
    """Run what a step could do, outside of a step: an update of weights by an optimizer.

    Args:
        function: without arguments, whose value is not used.

    Example:

    >>> total = keras.Variable(1.0)
    >>> run_in_replicas(lambda: total.assign(2.0))
    >>> float(total)
    2.0
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if tf.distribute.in_cross_replica_context():
            tf.distribute.get_strategy().run(lambda: _nothing(function()))
            return
    function()


def read(variable):
    """The value of a variable, of a metric too, which is the sum over the replicas: all workers must read it.

    Args:
        variable: `keras.Variable` or tensor.

    Returns:
        NumPy array, on TensorFlow a copy.

    Example:

    >>> float(read(keras.Variable(2.0)))
    2.0
    """
    if keras.backend.backend() == "tensorflow" and hasattr(variable, "numpy"):
        return np.array(variable.numpy())
    return keras.ops.convert_to_numpy(variable)


def full_batch(samples, batch_size):
    """A batch size, not above another one, by which each replica gets some samples of every batch, the last one too.

    For evaluations, whose results do not hang on it. TensorFlow's kernels for CPUs cannot compute on
    nothing.

    Args:
        samples: int.
        batch_size: int.

    Returns:
        int. `batch_size` itself on one device, on JAX, and where there is none.

    Example:

    >>> full_batch(22, 16)
    16
    """
    return _full_batch(samples, batch_size, _all_replicas())


def divided_batch(samples, batch_size):
    """The same of a generator, each of whose batches is divided evenly: the whole ones must be so without a rest.

    Args:
        samples: int.
        batch_size: int.

    Returns:
        int. `batch_size` itself on one device, and on JAX. None where there is none.

    Example:

    >>> divided_batch(22, 16)
    16
    """
    return _divided_batch(samples, batch_size, _all_replicas())


def even_batch(batch_size):
    """The next larger batch size, or this one, of which each replica gets as much.

    Args:
        batch_size: int.

    Returns:
        int. `batch_size` itself on one device, and on JAX.

    Example:

    >>> even_batch(22)
    22
    """
    return -(-batch_size // _all_replicas()) * _all_replicas()


@contextlib.contextmanager
def whole_batches():
    """Give each device all of each batch, as evaluations need whose last batch does not divide: on JAX alone.

    Within this, and wherever `recipes.training.devices` does not say otherwise, each device computes the same.

    Example:

    >>> with whole_batches():
    ...     pass
    """
    distribution = keras.distribution.distribution()
    before = getattr(distribution, "whole", None)
    if before is not None:
        distribution.whole = True
    try:
        yield
    finally:
        if before is not None:
            distribution.whole = before


def _full_batch(samples, batch_size, replicas):
    def fills(size, batch):
        return not size or size > (replicas - 1) * -(-batch // replicas)

    sizes = range(min(batch_size, samples), replicas - 1, -1) if replicas > 1 else ()
    return next((size for size in sizes if fills(size, size) and fills(samples % size, size)), batch_size)


def _divided_batch(samples, batch_size, replicas):
    def fills(batch):
        return not batch or batch > (replicas - 1) * -(-batch // replicas)

    if replicas == 1:
        return batch_size
    sizes = range(batch_size // replicas * replicas, 0, -replicas)
    return next((size for size in sizes if size <= samples and fills(samples % size)), None)


def _all_replicas():
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def _context():
    """The replica that the code runs in; None outside of a step, and where there are no replicas."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    return tf.distribute.get_replica_context()


def _nothing(value):
    """Branches of TensorFlow's must return alike."""
