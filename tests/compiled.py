"""Functions of tensors as a training step would run them: compiled, with sides that are not known before."""

import keras
import numpy as np


def run(function, *arrays, compiled=True):
    """Call a function, compiled by the backend if it has a compiler for it, and return NumPy arrays."""
    arrays = [np.asarray(array) for array in arrays]
    if compiled and keras.backend.backend() == "tensorflow":
        return _run_graphs(function, arrays)
    if compiled and keras.backend.backend() == "jax":
        import jax

        function = jax.jit(function)
    return _in_numpy(function(*map(keras.ops.convert_to_tensor, arrays)))


def _run_graphs(function, arrays):
    """As a graph, and as one of XLA: they must agree."""
    import tensorflow as tf

    shapes = [
        [None] * array.ndim if array.ndim < 3 else [*[None] * (array.ndim - 1), array.shape[-1]] for array in arrays
    ]
    signature = [tf.TensorSpec(shape, array.dtype) for shape, array in zip(shapes, arrays)]
    results = [
        _in_numpy(tf.function(function, input_signature=signature, jit_compile=jit_compile)(*arrays))
        for jit_compile in (False, True)
    ]
    keras.tree.map_structure(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5), *results)
    return results[0]


def _in_numpy(results):
    return keras.tree.map_structure(lambda result: np.array(keras.ops.convert_to_numpy(result)), results)
