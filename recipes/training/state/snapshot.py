"""The state of a model, its optimizer, callbacks and random numbers: taken as plain values, and given back."""

import copy
import fractions
import random
import re

import keras
import numpy as np

_SCALARS = (bool, int, float, str, type(None), fractions.Fraction)
_NOT_STATE = ("_model", "params", "validation_data")
_GROUPS = ("model", "optimizer", "metrics")


def take(model, callbacks=()):
    """Everything that training changes, as copies.

    Args:
        model: a compiled `keras.Model` that has been built, as `build` does it. On JAX it is the one that
            `callback.model` gives, whose variables are up to date.
        callbacks: list of `keras.callbacks.Callback`. Those with a method `get_state` are asked; of others it is
            every attribute that is plain: None, numbers, texts, arrays, variables, lists, tuples and dicts of
            these, and callbacks of their own; but for those that an attribute `not_saved` names, such as large
            arrays that never change. Defaults to none.

    Returns:
        dict that `recipes.training.state.States` can write.

    Raises:
        TypeError: if `get_state` of a callback gives what is not plain.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> sorted(take(model))
    ['backend', 'callbacks', 'random', 'variables', 'versions']
    """
    return {
        "backend": keras.backend.backend(),
        "versions": {"keras": keras.version(), "numpy": np.__version__},
        "variables": {
            group: [(each.path, str(each.dtype), _array(each)) for each in variables]
            for group, variables in _variables(model).items()
        },
        "callbacks": [(type(each).__name__, callback_state(each)) for each in callbacks],
        "random": random_state(),
    }


def restore(model, callbacks, state):
    """Give a model, its optimizer and callbacks the state that was taken of such ones.

    Args:
        model: as for `take`: made and compiled in the same way.
        callbacks: list of callbacks, the same kinds in the same order.
        state: dict, of `take`.

    Raises:
        ValueError: if the variables or callbacks are others; then nothing is changed.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> state = take(model)
    >>> model.set_weights([np.ones((2, 1)), np.ones(1)])
    >>> restore(model, [], state)
    >>> model.get_weights()[1].tolist()
    [0.0]
    """
    variables = _variables(model)
    for group in _GROUPS:
        _check(group, variables[group], state["variables"][group], state)
    names, known = [type(each).__name__ for each in callbacks], [name for name, _ in state["callbacks"]]
    if names != known:
        raise ValueError(f"The state is of a training with the callbacks {known}. Received: {names}")
    for group in _GROUPS:
        for variable, (_, _, value) in zip(variables[group], state["variables"][group], strict=True):
            variable.assign(value.copy())  # JAX may keep the array that it is given
    for callback, (_, own) in zip(callbacks, state["callbacks"], strict=True):
        restore_callback(callback, own)
    restore_random(state["random"])


def build(model, data):
    """Make the variables that `fit` would make: of the model, its metrics and the optimizer.

    Args:
        model: a compiled `keras.Model`.
        data: what `fit` is given: a `tf.data.Dataset`, or a `keras.utils.PyDataset`.

    Example:

    >>> class Data(keras.utils.PyDataset):
    ...     def __len__(self):
    ...         return 1
    ...     def __getitem__(self, step):
    ...         return np.ones((4, 2)), np.ones((4, 1))
    >>> model = keras.Sequential([keras.layers.Dense(1)])
    >>> model.compile("adam", "mse", metrics=["mae"])
    >>> build(model, Data())
    >>> len(model.weights), len(model.optimizer.variables), len(model.metrics_variables)
    (2, 6, 4)
    """
    batch = data.element_spec if hasattr(data, "element_spec") else data[0]
    model._symbolic_build(data_batch=tuple(batch) if isinstance(batch, list) else batch)


def is_finite(state):
    """Whether all variables of the model and the optimizer are finite: of another state nothing good can come.

    Args:
        state: dict, of `take`.

    Returns:
        bool.

    Example:

    >>> is_finite({"variables": {"model": [("kernel", "float32", np.array([1.0, np.nan]))], "optimizer": []}})
    False
    """
    arrays = [array for group in _GROUPS[:2] for _, _, array in state["variables"][group]]
    return all(np.isfinite(array).all() for array in arrays if array.dtype.kind in "fc")


def callback_state(callback):
    """The state of a callback: what its `get_state` gives, or its plain attributes.

    Args:
        callback: a `keras.callbacks.Callback`.

    Returns:
        dict of name to value.

    Raises:
        TypeError: if `get_state` gives what is not plain.

    Example:

    >>> state = callback_state(keras.callbacks.EarlyStopping(patience=3))
    >>> state["wait"], state["patience"], "monitor_op" in state
    (0, 3, True)
    """
    if hasattr(callback, "get_state"):
        return _plain(callback.get_state())
    left_out = [*_NOT_STATE, *getattr(callback, "not_saved", ())]
    if hasattr(callback, "monitor_op"):
        left_out.append("min_delta")  # Keras changes its sign when it finds out what is better, once in each process
    found = {}
    for name, value in vars(callback).items():
        if name not in left_out:
            try:
                found[name] = _plain(value)
            except TypeError:
                continue  # a function, a file, a model: what the callback was made with
    return found


def restore_callback(callback, state):
    """Give a callback its state back: by its `set_state`, or attribute by attribute.

    Args:
        callback: a `keras.callbacks.Callback`.
        state: dict, of `callback_state`.

    Example:

    >>> stopping = keras.callbacks.EarlyStopping()
    >>> restore_callback(stopping, {"wait": 2})
    >>> stopping.wait
    2
    """
    state = copy.deepcopy(state)  # it may be given back once more
    if hasattr(callback, "set_state"):
        callback.set_state(state)
        return
    for name, value in state.items():
        current = getattr(callback, name, None)
        if current is not None and value is None and not _is_plain(current):
            continue  # such as a function that was not chosen yet
        setattr(callback, name, _put(current, value))


def random_state():
    """The state of the random numbers that the process has: Python's, NumPy's, and torch's where that is the backend.

    Returns:
        dict.

    Example:

    >>> state = random_state()
    >>> first = random.random()
    >>> restore_random(state)
    >>> random.random() == first
    True
    """
    version, words, gauss = random.getstate()
    state = {"python": (version, np.array(words, "uint32"), gauss), "numpy": np.random.get_state()}
    if keras.backend.backend() == "torch":
        import torch

        on_gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        state["torch"] = [each.numpy().copy() for each in (torch.get_rng_state(), *on_gpus)]
    return state


def restore_random(state):
    """Let random numbers go on from a state.

    Args:
        state: dict, of `random_state`, or "torch" of it alone.

    Example:

    >>> restore_random(random_state())
    """
    if "python" in state:
        version, words, gauss = state["python"]
        random.setstate((version, tuple(words.tolist()), gauss))
        np.random.set_state(state["numpy"])
    if "torch" in state and keras.backend.backend() == "torch":
        import torch

        first, *on_gpus = map(torch.from_numpy, state["torch"])
        torch.set_rng_state(first)
        if torch.cuda.is_available():
            for number, each in enumerate(on_gpus[: torch.cuda.device_count()]):
                torch.cuda.set_rng_state(each, number)


def _variables(model):
    groups = model.variables, model.optimizer.variables, model.metrics_variables
    return dict(zip(_GROUPS, groups))


def _check(group, variables, known, state):
    """Refuse variables that are not those of the state."""
    found = [(_name(each.path), str(each.dtype), tuple(each.shape)) for each in variables]
    wanted = [(_name(path), dtype, value.shape) for path, dtype, value in known]
    if len(found) == len(wanted) and all(map(_is_same, found, wanted)):
        return
    versions = f"keras {keras.version()} on {keras.backend.backend()}"
    taken = f"keras {state['versions']['keras']} on {state['backend']}"
    if len(found) != len(wanted):
        difference = f"it has {len(wanted)} of them, this one has {len(found)}"
    else:
        mine, other = next(pair for pair in zip(found, wanted) if not _is_same(*pair))
        difference = f"it has {_text(other)} where this one has {_text(mine)}"
    raise ValueError(
        f"The state does not fit the variables of the {group}: {difference}. It was saved by {taken}, this is "
        f"{versions}: go on with what it was begun with."
    )


def _name(path):
    """A path without the numbers that Keras counts up in a process."""
    return re.sub(r"_\d+(?=_|/|$)", "", path)


def _is_same(variable, other):
    """Whether name, dtype and shape fit; where an optimizer is built within a step, its paths are longer."""
    short, long = sorted((variable[0], other[0]), key=len)
    return variable[1:] == other[1:] and f"/{long}".endswith(f"/{short}")


def _text(variable):
    name, dtype, shape = variable
    return f"{name} {dtype}{list(shape)}"


def _array(value):
    value = value.value if isinstance(value, keras.Variable) else value
    return np.array(keras.ops.convert_to_numpy(value))  # a copy: on JAX it would be the buffer itself


def _plain(value):
    """A value as a copy without variables and tensors."""
    if type(value) in _SCALARS:
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        if value.dtype.kind not in "biufcV":
            raise TypeError(f"An array of {value.dtype} is no state.")
        return value.copy()
    if isinstance(value, keras.Variable) or keras.ops.is_tensor(value):
        return _array(value)
    if isinstance(value, keras.callbacks.Callback):
        return callback_state(value)
    if type(value) in (list, tuple):
        return type(value)(map(_plain, value))
    if isinstance(value, dict):
        return {_plain(key): _plain(each) for key, each in value.items()}
    raise TypeError(f"A {type(value).__name__} is no state.")


def _is_plain(value):
    try:
        _plain(value)
        return True
    except TypeError:
        return False


def _put(current, value):
    """What an attribute is to be: variables, tensors and callbacks that stand there stay, with another state."""
    if isinstance(current, keras.Variable):
        current.assign(value)
        return current
    if isinstance(current, keras.callbacks.Callback) and isinstance(value, dict):
        restore_callback(current, value)
        return current
    if keras.ops.is_tensor(current) and isinstance(value, np.ndarray):
        return keras.ops.convert_to_tensor(value)
    if type(current) in (list, tuple) and type(current) is type(value) and len(current) == len(value):
        return type(value)(map(_put, current, value))
    if isinstance(current, dict) and isinstance(value, dict):
        return {key: _put(current.get(key), each) for key, each in value.items()}
    return value
