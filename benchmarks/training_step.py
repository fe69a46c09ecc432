"""Training speed of each network: ours, plain Keras, plain PyTorch.

    KERAS_BACKEND=tensorflow python benchmarks/training_step.py --output training_step.json

Each contender takes the same training step over and over: forward, softmax cross-entropy (of a detector:
matching, focal loss and smooth L1), backward, SGD with Nesterov momentum and coupled L2, on a batch that
already lies on the device. The step has no
input pipeline in it; `operations.py` measures that.
"""

import argparse
import contextlib
import dataclasses
import functools
import os
import sys

import measure
import numpy as np

_LEARNING_RATE, _MOMENTUM, _L2 = 0.01, 0.9, 5e-4
_LIBRARIES = ("ours", "keras", "torch")
_PARTS = 2
_OBJECTS = 16  # in an image for a detector
_NOTES = [
    "images are synthetic: noise, random labels and boxes; only speed is measured",
    "the contenders of a model train the same network; trainable parameters are in the record",
    "keras: the same network with Keras's own layers wherever ours has a drop-in for one of them",
    f"parts: ours, in {_PARTS} ghost batches that are computed side by side",
    "torch: torchvision's networks; DavidNet, SpeedNet, BiT and RetinaNet written by hand; channels last",
    "RetinaNet: frozen statistics, which Keras's own layers have not; the loss of each image by itself, as published",
    "Keras: train_on_batch, which reads the loss each step; torch: a plain loop, which never waits for it",
]


@dataclasses.dataclass(frozen=True)
class Model:
    """A network, and the work that it is measured on.

    Args:
        builder: str. The function of `zoo`.
        torch_builder: str. The function of `torch_networks`.
        batch_size: int.
        side: int. Of the images, in pixels.
        classes: int.
        arguments: dict. For the builder of `zoo`.
        width: int. Of images that are not square; the side is then their height.
        detects: bool. Whether it is trained on boxes.
        libraries: tuple of what it is measured in.
    """

    builder: str
    torch_builder: str
    batch_size: int
    side: int = 32
    classes: int = 10
    arguments: dict = dataclasses.field(default_factory=dict)
    width: int | None = None
    detects: bool = False
    libraries: tuple = _LIBRARIES

    @property
    def image_shape(self):
        """Height, width and channels."""
        return self.side, self.width or self.side, 3


MODELS = {
    "DavidNet": Model("DavidNet", "davidnet", 512),
    "SpeedNet": Model("SpeedNet", "speednet", 1000, libraries=(*_LIBRARIES, "parts")),
    "ResNet18": Model("ResNet18", "resnet18_cifar", 128, arguments={"stem": "cifar"}),
    "ResNet50": Model("ResNet50", "resnet50", 16, 224, 1000),
    "AlexNet": Model("AlexNet", "alexnet", 64, 224, 1000),
    "BiT-R50x1": Model("BiTResNet50", "bit_resnet50", 16, 128, 1000),
    "RetinaNet": Model(
        "RetinaNet", "retinanet", 8, 256, 3, {"backbone": "resnet18"}, 320, detects=True, libraries=("ours", "torch")
    ),
}


def train_ours(model, options):
    """Time our network and optimizer, as a recipe trains them, on the current Keras backend."""
    return _train_keras(model, options)


def train_parts(model, options):
    """Time the same in ghost batches, side by side."""
    return _train_keras(model, options, _PARTS)


def train_keras(model, options):
    """Time the same with Keras's own layers: what plain Keras would give."""
    import zoo

    with _plain_layers(sys.modules[getattr(zoo, model.builder).__module__]):
        return _train_keras(model, options)


def train_torch(model, options):
    """Time the same network and step, written in plain PyTorch."""
    os.environ["KERAS_BACKEND"] = "torch"  # Keras only describes the device here
    import torch
    import torch_networks

    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    device = "cuda" if torch.cuda.is_available() else "cpu"
    images, targets = _batch(model, options)
    images = torch.from_numpy(images).movedim(-1, 1).to(device).contiguous(memory_format=torch.channels_last)
    loss_of = _torch_loss(model, targets, device)
    network = getattr(torch_networks, model.torch_builder)(model.classes).to(device, memory_format=torch.channels_last)
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.SGD(weights, _LEARNING_RATE, _MOMENTUM, weight_decay=_L2, nesterov=True, foreach=True)

    def step_of(forward):
        def step():
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device, torch.bfloat16, enabled=options.precision == "bfloat16"):
                loss = loss_of(forward(images))
            loss.backward()
            optimizer.step()

        return step

    compiled = device == "cuda" if options.compile_torch is None else options.compile_torch
    step = step_of(torch.compile(network) if compiled else network)
    if compiled and not options.compile_torch:
        try:
            step()
        except Exception:  # no compiler here: the plain network is then the peer
            compiled, step = False, step_of(network)
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    return {
        "images_per_second": measure.images_per_second(step, len(images), options.steps, options.warm_up, wait),
        "batch_size": len(images),
        "trainable_parameters": sum(weight.numel() for weight in weights),
        "compiled": compiled,
    }


def _torch_loss(model, targets, device):
    """The loss of what the network gives."""
    import torch
    import torch_networks

    if model.detects:
        targets = {name: torch.from_numpy(each).to(device) for name, each in targets.items()}
        return torch_networks.retinanet_loss(**targets, image_shape=model.image_shape[:2])
    targets = torch.from_numpy(targets).to(device)
    return lambda outputs: torch.nn.functional.cross_entropy(outputs, targets)


def _train_keras(model, options, parts=1):
    import keras

    import zoo
    from recipes.losses import DetectionLoss
    from recipes.optimizers import SGD
    from recipes.training import session
    from recipes.training.detection import DetectionModel

    policy = "mixed_bfloat16" if options.precision == "bfloat16" else "float32"
    if parts > 1:
        session.side_by_side(parts)
    with session.session(0, policy):
        build = functools.partial(
            getattr(zoo, model.builder), classes=model.classes, input_shape=model.image_shape, **model.arguments
        )
        jit_compile = session.choose_jit_compile(None)
        compilation = {
            "optimizer": SGD(_LEARNING_RATE, momentum=_MOMENTUM, nesterov=True, l2=_L2),
            "jit_compile": jit_compile,
        }
        if model.detects:
            network = DetectionModel(build(), DetectionLoss())
            network.compile(**compilation)
        else:
            network = zoo.ghost_batches(build(classifier_activation=None), parts)
            network.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), **compilation)
        images, labels = keras.tree.map_structure(keras.ops.convert_to_tensor, _batch(model, options))
        speed = measure.images_per_second(
            lambda: network.train_on_batch(images, labels), len(images), options.steps, options.warm_up
        )
    return {
        "images_per_second": speed,
        "batch_size": len(images),
        "trainable_parameters": sum(int(np.prod(weight.shape)) for weight in network.trainable_weights),
        "compiled": jit_compile,
    }


@contextlib.contextmanager
def _plain_layers(module):
    """Let a builder use Keras's own layers in place of ours that are called the same."""
    import keras

    ours = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, keras.layers.Layer) and hasattr(keras.layers, name)
    }
    vars(module).update({name: _without_ours(getattr(keras.layers, name)) for name in ours})
    try:
        yield
    finally:
        vars(module).update(ours)


def _without_ours(layer):
    """Keras's own layer, given an argument that it has not."""
    return lambda *arguments, pool_size=1, **more: layer(*arguments, **more)


def _batch(model, options):
    rng = np.random.default_rng(0)
    size = options.batch_size or model.batch_size
    images = rng.standard_normal((size, *model.image_shape), "float32")
    if not model.detects:
        return images, rng.integers(model.classes, size=size)
    height, width, _ = model.image_shape
    corners = rng.uniform(0, (width - 64, height - 64), (size, _OBJECTS, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(24, 64, corners.shape)], axis=-1)
    return images, {"boxes": boxes.astype("float32"), "labels": rng.integers(model.classes, size=(size, _OBJECTS))}


_TRAIN = {"ours": train_ours, "keras": train_keras, "torch": train_torch, "parts": train_parts}
_CONTENDERS = {
    f"{name}, {library}": functools.partial(_TRAIN[library], model)
    for name, model in MODELS.items()
    for library in model.libraries
}
_RATIOS = [
    (f"{name}, {first}", f"{name}, {second}")
    for name, model in MODELS.items()
    for first, second in (
        ("ours", "torch"),
        ("ours", "keras"),
        ("keras", "torch"),
        ("parts", "ours"),
        ("parts", "torch"),
    )
    if {first, second} <= set(model.libraries)
]


def main():
    """Race the contenders."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog="KERAS_BACKEND chooses the backend of ours and of plain Keras."
    )
    measure.add_options(parser, rounds=3, contenders=_CONTENDERS)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), help="(all)")
    parser.add_argument("--batch-size", type=int, help="images in a step (default: as the model has it)")
    parser.add_argument("--steps", type=int, default=10, help="timed steps in a round (default: %(default)s)")
    parser.add_argument("--warm-up", type=int, default=3, help="steps before the clock starts (default: %(default)s)")
    parser.add_argument("--precision", choices=["bfloat16", "float32"], default="bfloat16", help="(default: bfloat16)")
    parser.add_argument(
        "--compile-torch", action=argparse.BooleanOptionalAction, help="torch.compile for the peer (default: on CUDA)"
    )
    options = parser.parse_args()
    options.only = [name for name in options.only if name.partition(",")[0] in options.models]
    measure.race(__file__, options, _CONTENDERS, _RATIOS, _NOTES)


if __name__ == "__main__":
    main()
