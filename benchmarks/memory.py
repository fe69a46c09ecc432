"""Peak memory of a training of DavidNet: by tf.data, by data in memory, and in PyTorch.

    KERAS_BACKEND=tensorflow python benchmarks/memory.py --output memory.json

Each contender trains a few steps on the same 10,000 images of 32x32, padded, cropped and flipped, in a process
of its own, and reports the most memory of the host that it ever held: imports and data included.
"""

import argparse
import json
import resource
import sys

import measure
import numpy as np

_IMAGES, _CLASSES = 10_000, 10
_NOTES = [
    "mebibytes of the host's memory at their peak (getrusage), with imports and data; not those of an accelerator",
    "synthetic images, bfloat16; torch: batches are padded, cropped and flipped on the whole",
]


def train_pipeline(options):
    """Train by `augment.pipeline` and `fit`."""
    import augment

    images, labels = _data()
    data = augment.pipeline(images, labels, _operations(), batch_size=options.batch_size)
    return _train_keras(lambda model: model.fit(data, steps_per_epoch=options.steps, epochs=1, verbose=0))


def train_memory(options):
    """Train by `recipes.training.memory`."""
    from recipes.training import memory

    data = memory.InMemoryData(*_data(), _operations(), batch_size=options.batch_size)
    return _train_keras(lambda model: memory.fit(model, data, epochs=1, steps_per_epoch=options.steps))


def train_torch(options):
    """Train in a plain loop of PyTorch."""
    import torch
    import torch_networks
    from torch.nn import functional

    images, labels = _data()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    images = torch.from_numpy(images).movedim(-1, 1).contiguous(memory_format=torch.channels_last)
    labels = torch.from_numpy(labels).long().to(device)
    network = torch_networks.davidnet(_CLASSES).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), 0.01, 0.9, weight_decay=5e-4, nesterov=True)
    for step in range(options.steps):
        chosen = torch.arange(step * options.batch_size, (step + 1) * options.batch_size) % _IMAGES
        batch = functional.pad(images[chosen].to(device).float() / 255, (4, 4, 4, 4), mode="reflect")
        top, left = torch.randint(9, (2,)).tolist()
        batch = batch[:, :, top : top + 32, left : left + 32].flip(-1)
        with torch.autocast(device, torch.bfloat16):
            loss = functional.cross_entropy(network(batch), labels[chosen])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


def _train_keras(fit):
    import keras

    import zoo
    from recipes.optimizers import SGD
    from recipes.training import session

    with session.session(0, "mixed_bfloat16"):
        model = zoo.DavidNet(classifier_activation=None)
        model.compile(
            optimizer=SGD(0.01, momentum=0.9, nesterov=True, l2=5e-4),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=session.choose_jit_compile(None),
        )
        fit(model)


def _operations():
    import augment

    return [augment.PadCrop(4), augment.HorizontalFlip(), augment.Normalize((127.0,) * 3, (64.0,) * 3)]


def _data():
    rng = np.random.default_rng(0)
    return rng.integers(256, size=(_IMAGES, 32, 32, 3), dtype="uint8"), rng.integers(_CLASSES, size=_IMAGES)


_CONTENDERS = {"tf.data": train_pipeline, "memory": train_memory, "torch": train_torch}


def main():
    """Measure each contender, or one."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    measure.add_options(parser, rounds=1, contenders=_CONTENDERS)
    parser.add_argument("--batch-size", type=int, default=512, help="(default: %(default)s)")
    parser.add_argument("--steps", type=int, default=10, help="(default: %(default)s)")
    options = parser.parse_args()
    if options.contender:
        _CONTENDERS[options.contender](options)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
        print(json.dumps({"mebibytes": peak, **measure.environment()}))
        return
    results = measure.interleave(
        options.only, options.rounds, lambda name: measure.run_json([sys.executable, *sys.argv, "--contender", name])
    )
    peaks = {name: [result["mebibytes"] for result in each] for name, each in results.items()}
    first = next(iter(results.values()))[0]
    record = {
        "benchmark": "memory",
        "date": measure.now(),
        **{name: first[name] for name in ("backend", "device", "versions")},
        "settings": {"rounds": options.rounds, "batch_size": options.batch_size, "steps": options.steps},
        "notes": _NOTES,
        "mebibytes": {name: measure.spread(each) for name, each in peaks.items()},
        "ratios": {
            f"memory of {name} / torch": measure.spread([one / other for one, other in zip(each, peaks["torch"])])
            for name, each in peaks.items()
            if name != "torch" and "torch" in peaks
        },
    }
    measure.report(record["mebibytes"], record["ratios"])
    measure.write(record, options.output)


if __name__ == "__main__":
    main()
