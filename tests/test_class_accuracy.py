"""ACA, MCA and the accuracy of every class: against scikit-learn, in one pass of `fit` and `evaluate`."""

import keras
import numpy as np
import pytest

from recipes.training import memory
from recipes.training.class_accuracy import ClassAccuracy

NAMES = ["Golgi", "nuclear dots", "4:1"]
REPORTED = ["accuracy/Golgi", "accuracy/nuclear_dots", "accuracy/4_1"]
GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.normal(size=(50, 2, 2, 1)).astype("float32")
LABELS = GENERATOR.choice(3, size=50, p=[0.7, 0.2, 0.1])


def by_scikit_learn(labels, predicted, weights=None):
    metrics = pytest.importorskip("sklearn.metrics")
    recalls = metrics.recall_score(labels, predicted, labels=[0, 1, 2], average=None, sample_weight=weights)
    return {
        "aca": metrics.accuracy_score(labels, predicted, sample_weight=weights),
        "mca": metrics.balanced_accuracy_score(labels, predicted, sample_weight=weights),
        **dict(zip(REPORTED, recalls)),
    }


def compiled(one_hot, logits):
    keras.utils.set_random_seed(1)
    layers = [keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(3, None if logits else "softmax")]
    model = keras.Sequential(layers)
    kind = keras.losses.CategoricalCrossentropy if one_hot else keras.losses.SparseCategoricalCrossentropy
    jit_compile = keras.backend.backend() == "jax"
    model.compile("sgd", kind(from_logits=logits), metrics=["accuracy", ClassAccuracy(NAMES)], jit_compile=jit_compile)
    return model


@pytest.mark.parametrize(("one_hot", "logits", "in_memory"), [(True, True, True), (False, False, False)])
def test_every_epoch_has_what_scikit_learn_finds(one_hot, logits, in_memory, tmp_path):
    model = compiled(one_hot, logits)
    targets = np.eye(3)[LABELS] if one_hot else LABELS
    validation = {"validation_data": (IMAGES, targets), "validation_batch_size": 16}
    if in_memory:
        data = memory.InMemoryData(IMAGES, targets, batch_size=16)
        history = memory.fit(model, data, epochs=2, **validation).history
    else:
        history = model.fit(IMAGES, targets, 16, epochs=2, verbose=0, **validation).history
    assert {"aca", "mca", *REPORTED} < set(history)
    expected = by_scikit_learn(LABELS, model.predict(IMAGES, verbose=0).argmax(1))
    for name, value in expected.items():
        assert history[f"val_{name}"][-1] == pytest.approx(value, abs=1e-6)
    assert history["aca"] == pytest.approx(history["accuracy"])
    model.save(tmp_path / "model.keras")
    figures = keras.models.load_model(tmp_path / "model.keras").evaluate(IMAGES, targets, verbose=0, return_dict=True)
    assert {name: figures[name] for name in expected} == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
@pytest.mark.parametrize("weighted", [False, True])
def test_batches_add_up(shape, weighted):
    metric = ClassAccuracy(NAMES)
    outputs = GENERATOR.normal(size=(50, 3))
    weights = GENERATOR.uniform(size=50) if weighted else None
    for part in (slice(0, 20), slice(20, 50)):
        metric.update_state(LABELS[part].reshape(shape), outputs[part], weights[part] if weighted else None)
    expected = by_scikit_learn(LABELS, outputs.argmax(1), weights)
    assert {name: float(value) for name, value in metric.result().items()} == pytest.approx(expected, abs=1e-6)
    if not weighted:
        confusion = pytest.importorskip("sklearn.metrics").confusion_matrix(LABELS, outputs.argmax(1))
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(metric.counts), confusion)


def test_a_class_without_samples_does_not_count():
    metric = ClassAccuracy(NAMES)
    assert float(metric.result()["mca"]) == 0.0
    metric.update_state([0, 0, 1, 1], np.eye(3)[[0, 2, 1, 1]])
    figures = {name: float(value) for name, value in metric.result().items()}
    assert figures == {"aca": 0.75, "mca": 0.75, **dict(zip(REPORTED, [0.5, 1.0, 0.0]))}
    metric.reset_state()
    metric.update_state([0], [[1.0, 0.0, 0.0]])
    assert float(metric.result()["mca"]) == 1.0


@pytest.mark.parametrize("names", [["one"], ["a b", "a_b"], ["a", "a"]])
def test_names_that_cannot_be_told_apart_are_refused(names):
    with pytest.raises(ValueError, match="class_names"):
        ClassAccuracy(names)


def test_outputs_of_another_width_are_refused():
    with pytest.raises(ValueError, match=r"3 names.*\(2, 4\)"):
        ClassAccuracy(NAMES).update_state([0, 1], np.zeros((2, 4)))
