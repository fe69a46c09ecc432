"""Published weights: checkpoints of torchvision, timm and pytorch-retinanet in our networks, and back."""

import hashlib
import os
import pathlib
import re
import typing

import keras

from zoo.checkpoints import read_checkpoint
from zoo.checkpoints import reason_of

# The end of each name is the beginning of the file's SHA-256.
PUBLISHED = {
    "AlexNet": {"imagenet": "alexnet-owt-7be5be79.pth"},
    "ResNet18": {"imagenet": "resnet18-f37072fd.pth"},
    "ResNet34": {"imagenet": "resnet34-b627a593.pth"},
    "ResNet50": {"imagenet": "resnet50-0676ba61.pth", "imagenet_v2": "resnet50-11ad3fa6.pth"},
    "ResNet101": {"imagenet": "resnet101-63fe2227.pth", "imagenet_v2": "resnet101-cd907fc2.pth"},
    "ResNet152": {"imagenet": "resnet152-394f9c45.pth", "imagenet_v2": "resnet152-f82ba261.pth"},
}
HEADS = ("load", "keep", "keep_all")
_ADDRESS = "https://download.pytorch.org/models/"
_ALEXNET_CONVOLUTIONS = {"conv1": 0, "conv2": 3, "conv3": 6, "conv4": 8, "conv5": 10}
_CLASSIFIERS = ("predictions", "class_head_output")
_DETECTOR_HEADS = {"box": "regressionModel", "class": "classificationModel"}
_TORCH_VARIABLES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def load_checkpoint(model, path, head="load"):
    """Load a checkpoint of torchvision or timm into an AlexNet or a ResNet; of pytorch-retinanet into a RetinaNet.

    Either everything fits and is loaded, or nothing is. What a model without top lacks is not
    looked for in the file.

    Args:
        model: a `keras.Model` by `zoo.AlexNet`, `zoo.ResNet18` to `zoo.ResNet152`, or `zoo.RetinaNet` on one.
        path: path of a `.safetensors` or `.pth` file: see `zoo.checkpoints.read_checkpoint`.
        head: one of "load"; "keep": the last layer stays as it is, for other classes; "keep_all":
            all dense layers stay, for an AlexNet with other `hidden_units`. Defaults to "load".

    Raises:
        ValueError: if the file cannot be read, or with every weight that is missing, unexpected,
            or of another shape.

    Example:

    >>> import zoo
    >>> load_checkpoint(zoo.ResNet18(classes=2, input_shape=(32, 32, 3)), "nowhere.pth")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: ...
    """
    if head not in HEADS:
        raise ValueError(f"`head` must be one of {HEADS}. Received: head={head!r}")
    skipped = _skipped(model, head)
    slots = {name: slot for name, slot in _slots(model).items() if not name.startswith(skipped)}
    state = {name: array for name, array in read_checkpoint(path).items() if not name.startswith(skipped)}
    state = {name: array for name, array in state.items() if not name.endswith(".num_batches_tracked")}
    _check_fit(model, path, slots, state)
    for name, slot in slots.items():
        slot.variable.assign(slot.from_torch(state[name]))


def to_torch_state(model):
    """The weights of a network as torch's `load_state_dict` takes them, of torchvision or pytorch-retinanet.

    Args:
        model: a `keras.Model` by `zoo.AlexNet`, `zoo.ResNet18` to `zoo.ResNet152`, or `zoo.RetinaNet` on one.

    Returns:
        A dict of their names and NumPy arrays.

    Raises:
        ValueError: if the model is another one.

    Example:

    >>> import zoo
    >>> state = to_torch_state(zoo.ResNet18(include_top=False))
    >>> state["layer1.0.conv1.weight"].shape
    (64, 64, 3, 3)
    """
    return {name: slot.to_torch() for name, slot in _slots(model).items()}


def download(builder, weights="imagenet"):
    """Download a published checkpoint once, to Keras's cache.

    Args:
        builder: str. Name of the builder, such as "ResNet50".
        weights: one of "imagenet", torchvision's first weights; "imagenet_v2", of ResNet50, 101 and
            152, those of its longer training. Defaults to "imagenet".

    Returns:
        The path of the file.

    Raises:
        ValueError: if there is no such file, it cannot be downloaded, or it is not the published one.

    Example:

    >>> download("ResNet18", "no such weights")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: ...

    Reference:
        https://pytorch.org/vision/stable/models.html
    """
    files = PUBLISHED.get(builder, {})
    if weights not in files:
        published = [f"{name} {each}" for name, options in PUBLISHED.items() for each in options]
        raise ValueError(f"There are weights of {', '.join(published)}. Received: {builder!r}, weights={weights!r}")
    cache = pathlib.Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
    path = cache / "models" / files[weights]
    if not path.is_file():
        address = _ADDRESS + path.name
        try:
            path = pathlib.Path(keras.utils.get_file(path.name, address, cache_dir=cache, cache_subdir="models"))
        except Exception as error:
            raise ValueError(
                f"{path.name} could not be downloaded ({reason_of(error)}). Download {address} and put it at {path}."
            ) from error
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(path.stem.rpartition("-")[2]):
        path.unlink()
        raise ValueError(f"{path} was damaged or another file (SHA-256 {digest}), and was deleted. Download it again.")
    return path


class _Slot(typing.NamedTuple):
    """A variable, and the (height, width, inputs, outputs) of a kernel."""

    variable: keras.Variable
    grid: tuple | None

    @property
    def torch_shape(self):
        if self.grid is None:
            return tuple(self.variable.shape)
        height, width, inputs, outputs = self.grid
        return (outputs, inputs, height, width) if len(self.variable.shape) == 4 else (outputs, height * width * inputs)

    def from_torch(self, array):
        if self.grid is None:
            return array
        height, width, inputs, outputs = self.grid
        return array.reshape(outputs, inputs, height, width).transpose(2, 3, 1, 0).reshape(self.variable.shape)

    def to_torch(self):
        array = keras.ops.convert_to_numpy(self.variable)
        return array if self.grid is None else array.reshape(self.grid).transpose(3, 2, 0, 1).reshape(self.torch_shape)


def _slots(model):
    """Every variable of the network by its name in torch."""
    slots = {}
    for layer in model.layers:
        module = _torch_module(model, layer.name)
        for variable in layer.variables if module else ():
            slots[f"{module}.{_TORCH_VARIABLES[variable.name]}"] = _Slot(variable, _grid(variable, module))
    return slots


def _grid(variable, module):
    if variable.name != "kernel":
        return None
    if module == "classifier.1":  # torch flattens channels first, Keras channels last, in either data format
        return (6, 6, variable.shape[0] // 36, variable.shape[1])
    return (1, 1, *variable.shape)[-4:]


def _is_alexnet(model):
    names = {layer.name for layer in model.layers}
    if not names & {"conv5", "conv1_conv"}:
        raise ValueError(
            f"`model` must be an AlexNet or a ResNet of ours, or a RetinaNet on one. Received: {model.name!r}"
        )
    return "conv5" in names


def _torch_module(model, name):
    """Torchvision's name of the layer, or None."""
    if _is_alexnet(model):
        if name in _ALEXNET_CONVOLUTIONS:
            return f"features.{_ALEXNET_CONVOLUTIONS[name]}"
        hidden = [layer.name for layer in model.layers if re.fullmatch(r"fc\d", layer.name)]
        if name in hidden:
            return f"classifier.{3 * hidden.index(name) + 1}"
        return f"classifier.{3 * len(hidden) or 1}" if name == "predictions" else None
    if match := re.fullmatch(r"conv1_(conv|bn)", name):
        return f"{match[1]}1"
    if match := re.fullmatch(r"conv(\d)_block(\d+)_(\d)_(conv|bn)", name):
        stage, block, number, kind = match.groups()
        member = f"{kind}{number}" if number != "0" else f"downsample.{0 if kind == 'conv' else 1}"
        return f"layer{int(stage) - 1}.{int(block) - 1}.{member}"
    return "fc" if name == "predictions" else _detector_module(name)


def _detector_module(name):
    """The name of a RetinaNet's layer in pytorch-retinanet, or None."""
    if match := re.fullmatch(r"fpn_p([345])(_lateral)?", name):
        return f"fpn.P{match[1]}_{1 if match[2] else 2}"
    if match := re.fullmatch(r"(box|class)_head_(\d+|output)", name):
        member = match[2] if match[2] == "output" else f"conv{match[2]}"
        return f"{_DETECTOR_HEADS[match[1]]}.{member}"
    return {"fpn_p6": "fpn.P6", "fpn_p7": "fpn.P7_2"}.get(name)


def _skipped(model, head):
    """How the names begin, in torch, of what is not to be loaded."""
    classifier = next((layer.name for layer in model.layers if layer.name in _CLASSIFIERS), None)
    if classifier is None or (head == "keep_all" and _is_alexnet(model)):
        return "classifier." if _is_alexnet(model) else "fc."
    return () if head == "load" else f"{_torch_module(model, classifier)}."


def _check_fit(model, path, slots, state):
    problems = [f"{name} is missing" for name in slots if name not in state]
    problems += [f"{name} is unexpected" for name in state if name not in slots]
    for name in slots.keys() & state.keys():
        found, expected = state[name].shape, slots[name].torch_shape
        if found != expected:
            problems.append(f"{name} has shape {found} where {expected} is expected")
    if problems:
        raise ValueError(
            f"{path} does not fit {model.name}: {'; '.join(sorted(problems))}. Build the network that the file is of; "
            'for other classes, zoo.weights.load_checkpoint(..., head="keep") leaves the last layer as it is.'
        )
