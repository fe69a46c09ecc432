"""What fine-tuning is worth: a network of six classes of CIFAR-10, on the other four, with few images.

    KERAS_BACKEND=tensorflow python benchmarks/fine_tuning.py --data-dir cifar-10-batches-py --output fine_tuning.json

A ResNet-18 with the stem "cifar" is trained on airplanes, automobiles, birds, cats, deer and dogs. Then
`recipes/nature12k_finetune.py` trains on 100 images each of frogs, horses, ships and trucks, by its three
strategies and from random weights, over seeds: other images, another head. The accuracies are those of the last
epoch, of none chosen, on test images of the four classes. All ways have as many epochs, and rates that were chosen by
hand for each, not searched for; `--rates` gives others.

What is finished lies in `--folder`, and a second start goes on from there.
"""

import argparse
import json
import pathlib

import measure
import numpy as np

_SIX = 6  # the first classes are trained on first
_WAYS = {
    "head": {"strategy": "head", "learning_rate": 1e-3},
    "stages": {"strategy": "stages", "stages": 1, "learning_rate": 1e-3, "rate_decay": 0.3},
    "all": {"strategy": "all", "learning_rate": 1e-3, "rate_decay": 0.3},
    "scratch": {"strategy": "all", "head_epochs": 0, "learning_rate": 1e-3, "rate_decay": 1.0, "weights": None},
}
_NOTES = [
    "accuracy of the last epoch on test images of the four classes; spread over seeds: other images, another head",
    "images are mirrored at random; where features are kept, there are four copies of each image",
]


def pretrain(options, data):
    """Train on six classes, once.

    Args:
        options: what the parser returned.
        data: a `recipes.data.dataset.Dataset`.

    Returns:
        pathlib.Path of the folder, with `model.keras` and its preparation.
    """
    import keras

    import augment
    import zoo
    from recipes import schedules
    from recipes.data.preparation import Preparation
    from recipes.optimizers import SGD
    from recipes.training import session
    from recipes.training.routes import training_batches

    folder = options.folder / "six"
    if (folder / "accuracy.json").is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    rows = np.flatnonzero(data.train_labels < _SIX)[: options.images]
    preparation = Preparation(32, "stretch", data.mean, data.std, data.class_names[:_SIX])
    normalize = augment.Normalize(data.mean, data.std)
    labels = np.eye(_SIX, dtype="float32")
    operations = [augment.PadCrop(4), augment.HorizontalFlip(), normalize]
    with session.session(0, session.choose_policy(options.precision)):
        batches = training_batches(
            "auto", data.train_images[rows], labels[data.train_labels[rows]], operations, batch_size=128, seed=0
        )
        tested = np.flatnonzero(data.validation_labels < _SIX)
        test = augment.ArrayGenerator(
            data.validation_images[tested],
            labels[data.validation_labels[tested]],
            [normalize],
            batch_size=256,
            training=False,
        )
        model = zoo.ResNet18(classes=_SIX, input_shape=(32, 32, 3), stem="cifar", classifier_activation=None)
        steps = len(rows) // 128
        model.compile(
            SGD(schedules.OneCycle(0.1, total_steps=steps * options.epochs_of_six), 0.9, nesterov=True, l2=5e-4),
            keras.losses.CategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            jit_compile=session.choose_jit_compile(None),
        )
        given = None if isinstance(batches, keras.utils.PyDataset) else steps  # tf.data pipelines have no end
        model.fit(batches, epochs=options.epochs_of_six, steps_per_epoch=given, shuffle=False, verbose=2)
        accuracy = model.evaluate(test, verbose=0, return_dict=True)["accuracy"]
    model.save(folder / "model.keras")
    preparation.write(folder)
    (folder / "accuracy.json").write_text(json.dumps({"accuracy": round(accuracy, 4)}) + "\n")
    return folder


def write_images(folder, data, seed, train, test):
    """Class folders of the other four classes.

    Args:
        folder: pathlib.Path.
        data: a `recipes.data.dataset.Dataset`.
        seed: int. Which images are taken for training.
        train: int. Images of each class.
        test: int. The same, of the test images, the first ones.

    Returns:
        The folder.
    """
    from PIL import Image

    rng = np.random.default_rng(seed)
    for label, name in list(enumerate(data.class_names))[_SIX:]:
        chosen = {
            "train": rng.permutation(np.flatnonzero(data.train_labels == label))[:train],
            "val": np.flatnonzero(data.validation_labels == label)[:test],
        }
        for split, images in (("train", data.train_images), ("val", data.validation_images)):
            (folder / split / name).mkdir(parents=True, exist_ok=True)
            for row in chosen[split]:
                Image.fromarray(images[row]).save(folder / split / name / f"{row:05}.png")
    return folder


def fine_tune(options, way, seed, six, images):
    """Train on four classes, once.

    Args:
        options: what the parser returned.
        way: str.
        seed: int.
        six: path of the folder of the network of six classes.
        images: path of the class folders.

    Returns:
        dict of the accuracy of each epoch, and seconds.
    """
    from recipes import nature12k_finetune

    path = options.folder / f"{way}-{seed}.json"
    if path.is_file():
        return json.loads(path.read_text())
    record = nature12k_finetune.train(
        "head",
        **{
            "data_dir": str(images),
            "validation_as_test": False,
            "weights": str(six / "model.keras"),
            "architecture": "ResNet18",
            "stem": "cifar",
            "image_size": 32,
            "head_units": 256,
            "head_epochs": options.epochs // 4,
            "epochs": options.epochs,
            "batch_size": 32,
            "schedule": "one_cycle",
            "horizontal_flip": True,
            "feature_views": 4,
            "precision": options.precision,
            "seed": seed,
            "runs": str(options.folder / "runs"),
            **_WAYS[way],
            **({"learning_rate": options.rates[way]} if way in options.rates else {}),
        },
    )
    result = {"accuracy": [round(value, 4) for value in record.history["val_accuracy"]], "seconds": record.seconds}
    path.write_text(json.dumps(result) + "\n")
    return result


def main():
    """Train on six classes, then on four, and write the accuracies."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data-dir", help="folder of CIFAR-10; downloaded without it")
    parser.add_argument("--folder", type=pathlib.Path, default="fine_tuning_runs", help="of what is kept (%(default)s)")
    parser.add_argument("--output", type=pathlib.Path, help="JSON file to write; nothing is written without it")
    parser.add_argument("--ways", nargs="+", choices=list(_WAYS), default=list(_WAYS), help="(all)")
    parser.add_argument("--seeds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--images", type=int, default=30_000, help="of the six classes (default: %(default)s)")
    parser.add_argument("--epochs-of-six", type=int, default=8, help="(default: %(default)s)")
    parser.add_argument("--train", type=int, default=100, help="images of each of the four (default: %(default)s)")
    parser.add_argument("--test", type=int, default=250, help="test images of each (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=20, help="on the four (default: %(default)s)")
    parser.add_argument("--precision", default="auto", help="as of the recipes (default: %(default)s)")
    parser.add_argument("--rates", type=json.loads, default={}, help='such as {"head": 0.01}')
    options = parser.parse_args()

    from recipes.data.cifar10 import load_cifar10

    data = load_cifar10(options.data_dir)
    six = pretrain(options, data)
    results = {way: [] for way in options.ways}
    for seed in range(options.seeds):
        images = write_images(options.folder / f"four-{seed}", data, seed, options.train, options.test)
        for way in options.ways:
            results[way].append(fine_tune(options, way, seed, six, images))
    last = {way: [each["accuracy"][-1] for each in runs] for way, runs in results.items()}
    record = {
        "benchmark": "fine_tuning",
        "date": measure.now(),
        **measure.environment(),
        "settings": {
            name: value for name, value in vars(options).items() if name not in ("data_dir", "folder", "output")
        },
        "ways": {way: _WAYS[way] for way in options.ways},
        "notes": _NOTES,
        "accuracy_on_six": json.loads((six / "accuracy.json").read_text())["accuracy"],
        "accuracy": {
            way: {"mean": round(float(np.mean(each)), 4), **measure.spread(each)} for way, each in last.items()
        },
        "epochs": {way: [each["accuracy"] for each in runs] for way, runs in results.items()},
        "seconds": {way: measure.spread([each["seconds"]["total"] for each in runs]) for way, runs in results.items()},
    }
    measure.report(record["accuracy"])
    measure.write(record, options.output)


if __name__ == "__main__":
    main()
