"""Training speed of DavidNet: ours, plain Keras, plain PyTorch.

    KERAS_BACKEND=tensorflow python benchmarks/training_step.py --output training_step.json

Each contender takes the same training step over and over: forward, softmax cross-entropy, backward,
SGD with Nesterov momentum and coupled L2, on a batch that already lies on the device. The step has no
input pipeline in it; `operations.py` measures that.
"""

import argparse
import contextlib
import os

import measure
import numpy as np

_CLASSES = 10
_LEARNING_RATE, _MOMENTUM, _L2 = 0.01, 0.9, 5e-4
_RATIOS = [("ours", "torch"), ("ours", "keras"), ("keras", "torch")]
_NOTES = [
    "images are synthetic: uniform noise, random labels; only speed is measured",
    "every contender trains the same network: 6,573,120 trainable parameters, maxima after the activation",
    "Keras: train_on_batch, which reads the loss each step; torch: a plain loop, which never waits for it",
]


def train_ours(options):
    """Time our network and optimizer, as a recipe trains them, on the current Keras backend."""
    import zoo

    return _train_keras(options, zoo.davidnet.BatchNormalization)


def train_keras(options):
    """Time the same with Keras's own batch normalisation: what plain Keras would give."""
    import keras

    return _train_keras(options, keras.layers.BatchNormalization)


def train_torch(options):
    """Time the same network and step, written in plain PyTorch."""
    os.environ["KERAS_BACKEND"] = "torch"  # Keras only describes the device here
    import torch

    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    device = "cuda" if torch.cuda.is_available() else "cpu"
    images, labels = _batch(options.batch_size)
    images = torch.from_numpy(images).movedim(-1, 1).to(device).contiguous(memory_format=torch.channels_last)
    labels = torch.from_numpy(labels).to(device)
    network = _torch_network().to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        network.parameters(), _LEARNING_RATE, _MOMENTUM, weight_decay=_L2, nesterov=True, foreach=True
    )

    def step_of(forward):
        def step():
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device, torch.bfloat16, enabled=options.precision == "bfloat16"):
                loss = torch.nn.functional.cross_entropy(forward(images), labels)
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
        "images_per_second": measure.images_per_second(step, options.batch_size, options.steps, options.warm_up, wait),
        "trainable_parameters": sum(weight.numel() for weight in network.parameters()),
        "compiled": compiled,
    }


def _train_keras(options, normalization):
    import keras

    import zoo
    from recipes.optimizers import SGD
    from recipes.training import session

    policy = "mixed_bfloat16" if options.precision == "bfloat16" else "float32"
    with session.session(0, policy), _normalization(zoo.davidnet, normalization):
        model = zoo.DavidNet(classifier_activation=None)
        jit_compile = session.choose_jit_compile(None)
        model.compile(
            optimizer=SGD(_LEARNING_RATE, momentum=_MOMENTUM, nesterov=True, l2=_L2),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=jit_compile,
        )
        images, labels = (keras.ops.convert_to_tensor(array) for array in _batch(options.batch_size))
        speed = measure.images_per_second(
            lambda: model.train_on_batch(images, labels), options.batch_size, options.steps, options.warm_up
        )
    return {
        "images_per_second": speed,
        "trainable_parameters": sum(int(np.prod(weight.shape)) for weight in model.trainable_weights),
        "compiled": jit_compile,
    }


@contextlib.contextmanager
def _normalization(module, layer):
    """Let a builder of `module` use another batch normalisation."""
    original, module.BatchNormalization = module.BatchNormalization, layer
    try:
        yield
    finally:
        module.BatchNormalization = original


def _torch_network():
    """DavidNet as a PyTorch user writes it."""
    from torch import nn

    class Residual(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.branch = nn.Sequential(unit(channels, channels), unit(channels, channels))

        def forward(self, x):
            return x + self.branch(x)

    class Scale(nn.Module):
        def forward(self, x):
            return x * 0.125

    def unit(channels, filters, pool=False):
        layers = [nn.Conv2d(channels, filters, 3, padding=1, bias=False), nn.BatchNorm2d(filters), nn.ReLU()]
        return nn.Sequential(*layers, *([nn.MaxPool2d(2)] if pool else []))

    return nn.Sequential(
        unit(3, 64),
        unit(64, 128, pool=True),
        Residual(128),
        unit(128, 256, pool=True),
        unit(256, 512, pool=True),
        Residual(512),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(512, _CLASSES, bias=False),
        Scale(),
    )


def _batch(size):
    rng = np.random.default_rng(0)
    return rng.standard_normal((size, 32, 32, 3), "float32"), rng.integers(_CLASSES, size=size)


_CONTENDERS = {"ours": train_ours, "keras": train_keras, "torch": train_torch}


def main():
    """Race the contenders."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog="KERAS_BACKEND chooses the backend of ours and of plain Keras."
    )
    measure.add_options(parser, rounds=3, contenders=_CONTENDERS)
    parser.add_argument("--batch-size", type=int, default=512, help="images in a step (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=20, help="timed steps in a round (default: %(default)s)")
    parser.add_argument("--warm-up", type=int, default=4, help="steps before the clock starts (default: %(default)s)")
    parser.add_argument("--precision", choices=["bfloat16", "float32"], default="bfloat16", help="(default: bfloat16)")
    parser.add_argument(
        "--compile-torch", action=argparse.BooleanOptionalAction, help="torch.compile for the peer (default: on CUDA)"
    )
    measure.race(__file__, parser.parse_args(), _CONTENDERS, _RATIOS, _NOTES)


if __name__ == "__main__":
    main()
