"""Several devices, and several workers, against one: the same losses, one writer, and going on with other ones."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import device_training
import keras
import numpy as np
import pytest

from recipes import replicas
from recipes.training import devices
from recipes.training.memory import InMemoryData
from recipes.training.state import States

ROOT = pathlib.Path(__file__).parents[1]
SEVERAL = keras.backend.backend() != "torch"
only_several = pytest.mark.parametrize("engine", [keras.backend.backend()] if SEVERAL else [])


def start(runs, number, *cases, **environment):
    """A process that trains cases on devices."""
    command = [sys.executable, str(ROOT / "tests" / "device_training.py"), str(number), str(runs), *cases]
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, **environment}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment, cwd=runs)


def lines(process):
    """What a process that ends well has printed, by case."""
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error[-3000:]
    return {each["case"]: each for each in map(json.loads, filter(_is_json, out.splitlines()))}


def _is_json(line):
    return line.startswith("{")  # gloo prints too


def workers(runs, *cases):
    """Two processes on loopback that train together."""
    ports = []
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
            ports.append(f"127.0.0.1:{each.getsockname()[1]}")

    def environment(number):
        if keras.backend.backend() == "tensorflow":
            task = {"type": "worker", "index": number}
            return {"TF_CONFIG": json.dumps({"cluster": {"worker": ports}, "task": task})}
        names = ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID")
        return {f"KERAS_DISTRIBUTION_{name}": value for name, value in zip(names, (ports[0], "2", str(number)))}

    return [start(runs, "workers", *cases, **environment(number)) for number in range(2)]


def differences(found, single):
    """The largest difference of the losses of steps, and of the history; predictions may differ more."""
    np.testing.assert_allclose(found["predicted"], single["predicted"], atol=1e-3)
    pairs = [(found["losses"], single["losses"])]
    pairs += [(found["history"][name], values) for name, values in single["history"].items()]
    return max(float(np.max(np.abs(np.subtract(*pair)))) for pair in pairs)


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    """What a process found on four virtual devices of a CPU."""
    if not SEVERAL:
        return None
    route = "tf.data" if keras.backend.backend() == "tensorflow" else "numpy"
    folder = tmp_path_factory.mktemp("one")
    with pytest.raises(RuntimeError, match="stopped"):
        device_training.train(folder, "auto", "sgd", stop=7)
    (stopped,) = folder.iterdir()
    cases = [f"everything/{route}", "detection", "pixels", "stopped", f"left/{stopped}"]
    found = lines(start(tmp_path_factory.mktemp("four"), 4, *cases))
    return {name.partition("/")[0]: each for name, each in found.items()}


@only_several
def test_four_devices_train_as_one(engine, four, tmp_path):
    assert four["everything"]["devices"] == 4
    route = "tf.data" if engine == "tensorflow" else "numpy"
    single = device_training.train(tmp_path, "auto", "everything", route)
    assert len(set(single["losses"])) == len(single["losses"]) == 8
    assert differences(four["everything"], single) < 1e-4


@only_several
def test_a_detector_shares_the_count_of_its_objects(engine, four, tmp_path):
    single = device_training.detect(tmp_path, "auto")
    assert differences(four["detection"], single) < 1e-4


@only_several
def test_augmentation_does_not_repeat_on_other_devices(engine, four):
    shares, whole = np.array(four["pixels"]["shares"]), np.array(four["pixels"]["whole"])
    assert shares.shape[0] == 4
    np.testing.assert_allclose(np.concatenate(shares), whole, atol=1)  # TensorFlow rounds in another way
    assert len({image.tobytes() for image in np.concatenate(shares)}) > len(whole) // 2


@only_several
def test_going_on_with_another_number_of_devices(engine, four, tmp_path):
    single = device_training.train(tmp_path, "auto", "sgd")
    folder = pathlib.Path(four["stopped"]["folder"])
    left = device_training.train(folder.parent, "auto", "sgd", folder=folder)  # six steps before, two now
    assert four["left"]["devices"] == 4
    for found in (left, four["left"]):
        assert differences(found, single) < 1e-4


@only_several
def test_two_workers_train_as_one_and_end_when_one_is_killed(engine, tmp_path):
    runs = tmp_path / "runs"
    runs.mkdir()
    first, second = workers(runs, "sgd", "endless")
    try:
        found = [json.loads(next(filter(_is_json, each.stdout))) for each in (first, second)]
        single = device_training.train(tmp_path / "single", "auto", "sgd")
        assert [each["devices"] for each in found] == [2, 2]
        assert max(differences(each, single) for each in found) < 1e-4
        folders = sorted(runs.glob("*"))
        assert str(folders[0]) == found[0]["folder"] and pathlib.Path(found[1]["folder"]).parent != runs
        until, before = time.monotonic() + 120, set(folders[0].glob("state/*.bin"))
        while set(runs.glob("*/state/*.bin")) <= before and time.monotonic() < until:  # of the endless one
            time.sleep(0.2)
        second.send_signal(signal.SIGKILL)
        begin = time.monotonic()
        _, error = first.communicate(timeout=120)
        assert time.monotonic() - begin < 90
        assert first.returncode != 0
        assert "WorkerLost: Another worker of this run is gone" in error or "another task died" in error, error[-2000:]
        (folder,) = set(runs.iterdir()) - {folders[0]}
        epochs = States(folder / "state").newest()["epoch"]
        left = device_training.train(runs, "auto", "sgd", epochs=epochs + 1, folder=folder)
        assert np.isfinite(left["history"]["val_loss"]).all() and len(left["history"]["val_loss"]) == epochs + 1
    finally:
        for each in (first, second):
            each.kill()
            each.communicate()


@pytest.mark.parametrize("given", [0, -1, True, "some", 1.5, None])
def test_other_devices_are_refused(given):
    with pytest.raises(ValueError, match="`devices` must be at least 1, or one of auto, all, workers"):
        devices.choose_devices(given)


def test_more_devices_than_there_are(backend):
    keras.ops.zeros(1) + 1  # from now on no virtual ones can be made
    message = {"torch": "Keras trains on one device"}.get(backend, "Ask for fewer")
    with pytest.raises(ValueError, match=message):
        devices.choose_devices(1000)


def test_workers_of_which_nothing_is_known(backend, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    message = {"tensorflow": "TF_CONFIG", "jax": "KERAS_DISTRIBUTION_JOB_ADDRESSES", "torch": "Keras trains on one"}
    with pytest.raises(ValueError, match=message[backend]):
        devices.choose_devices("workers")


def test_batches_that_cannot_be_shared():
    several = devices.Devices(count=4)
    with pytest.raises(ValueError, match="such as batch_size=8. Received: batch_size=10"):
        several.check(10)
    data = device_training.augment.ArrayGenerator(np.zeros((10, 2, 2, 1)), batch_size=4)
    with pytest.raises(ValueError, match="leave out the smaller last one. Received: 10 samples in batches of 4"):
        several.steps(data, 3)
    with pytest.raises(ValueError, match="all epochs must have as many steps"):
        several.steps(device_training.augment.ArrayGenerator(np.zeros((8, 2, 2, 1)), batch_size=4), [2, 1])


def test_data_in_memory_keep_their_epochs():
    several, operations = devices.Devices(count=2), lambda epoch: [device_training.augment.Resize(2 + epoch // 2)]
    data = InMemoryData(np.zeros((8, 2, 2, 1)), np.arange(8), operations, batch_size=2)
    assert several.steps(data, [3, 3]) == 3
    stream = several.stream(data, 3)  # four steps are a pass
    stream.set_epoch(1)
    assert stream[2][1].tolist() == data.order(1)[2:4].tolist() == stream.positions(1, 2).tolist()
    with pytest.raises(ValueError, match="images of one size"):
        several.steps(data, [3, 3, 3])


@pytest.mark.parametrize("count", [2, 3, 4, 8])
def test_each_replica_gets_some_of_every_batch(count):
    for samples in range(40, 70):
        size = replicas._full_batch(samples, 32, count)
        assert size <= 32
        for batch in {size, samples % size or size}:
            filled = [min(-(-size // count), max(batch - number * -(-size // count), 0)) for number in range(count)]
            assert min(filled) > 0 or size == 32
        size = replicas._divided_batch(samples, 32, count)
        assert count == 8 or size is not None
        if size is not None:
            rest = samples % size or size
            assert size <= 32 and not size % count and rest > (count - 1) * -(-rest // count)
