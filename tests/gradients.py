"""The gradient of a function of one array, on every backend."""

import keras


def gradient(function, values):
    """The gradient of the sum of what `function` returns, as a NumPy array."""

    def total(values):
        return keras.ops.sum(keras.ops.cast(function(values), "float32"))

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        values = tf.constant(values)
        with tf.GradientTape() as tape:
            tape.watch(values)
            outputs = total(values)
        found = tape.gradient(outputs, values)
    elif keras.backend.backend() == "jax":
        import jax

        found = jax.grad(total)(jax.numpy.asarray(values))
    else:
        values = keras.ops.convert_to_tensor(values).detach().requires_grad_(True)
        total(values).backward()
        found = values.grad
    return keras.ops.convert_to_numpy(found)
