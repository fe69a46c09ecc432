"""Wrong checkpoints: damaged, of other networks, of other classes, incomplete, and no checkpoints at all."""

import functools
import json
import pathlib
import pickle
import struct

import keras
import numpy as np

import zoo
from recipes.fine_tuning.backbones import find_builder
from recipes.fine_tuning.backbones import load_backbone
from recipes.reporting.records import read_record
from recipes.training.prediction import evaluate_run
from recipes.training.prediction import load_trained
from zoo.bit_weights import load_npz
from zoo.bit_weights import to_npz_state
from zoo.checkpoints import read_checkpoint
from zoo.keras_files import load_model
from zoo.keras_files import load_weights
from zoo.weights import download
from zoo.weights import load_checkpoint
from zoo.weights import to_torch_state


@functools.cache
def alexnet(classes=2):
    return zoo.AlexNet(classes=classes, hidden_units=(4,), input_shape=(63, 63, 3))


@functools.cache
def bit(classes=2):
    return zoo.BiTResNet50(classes=classes, depths=(1,), input_shape=(32, 32, 3))


@functools.cache
def dense(units=2):
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(units)])


def file(folder, name, content):
    path = pathlib.Path(folder, name)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def safetensors(folder, state):
    """A checkpoint of arrays of float32."""
    header, data = {}, b""
    for name, array in state.items():
        start, data = len(data), data + np.ascontiguousarray(array, "<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [start, len(data)]}
    text = json.dumps(header).encode()
    return file(folder, "state.safetensors", struct.pack("<Q", len(text)) + text + data)


def changed(state, without=None, **others):
    """A state without one of its arrays, and with others, whose names have underscores for dots."""
    return {name: array for name, array in state.items() if name != without} | others


def npz(folder, state):
    path = pathlib.Path(folder, "state.npz")
    np.savez(path, **state)
    return path


def saved(folder, model, name="model.keras"):
    path = pathlib.Path(folder, name)
    (model.save if name == "model.keras" else model.save_weights)(path)
    return path


def of_three_classes(state):
    return {name: np.ones((3, 4)) if array.shape == (2, 4) else array for name, array in state.items()}


CASES = [
    ("read_checkpoint('nowhere.pth')", "nowhere.pth cannot be read", "No such file"),
    ("read_checkpoint(folder)", "cannot be read as a checkpoint", "Is a directory"),
    ("read_checkpoint(file(folder, 'x.pth', ''))", "cannot be read as a checkpoint"),
    ("read_checkpoint(file(folder, 'x.pth', 'text'))", "cannot be read as a checkpoint"),
    ("read_checkpoint(file(folder, 'x.pth', b'PK\\x03\\x04'))", "cannot be read as a checkpoint", "zip"),
    ("read_checkpoint(file(folder, 'x.pth', pickle.dumps([1])))", "no file by torch.save"),
    ("read_checkpoint(file(folder, 'x.safetensors', 'text'))", "cannot be read as a checkpoint"),
    ("read_checkpoint(safetensors(folder, {'a': np.ones(9)}).with_suffix('.pth'))", "No such file"),
    ("load_checkpoint(alexnet(), 'nowhere.pth', head='heads')", "`head` must be one of", "'heads'"),
    ("load_checkpoint(dense(), 'nowhere.pth')", "must be an AlexNet or a ResNet", "sequential"),
    ("load_checkpoint(alexnet(), safetensors(folder, {}))", "does not fit alexnet", "features.0.weight is missing"),
    (
        "load_checkpoint(alexnet(), safetensors(folder, changed(to_torch_state(alexnet()), 'features.0.bias')))",
        "does not fit alexnet",
        "features.0.bias is missing",
    ),
    (
        "load_checkpoint(alexnet(), safetensors(folder, changed(to_torch_state(alexnet()), fc=np.ones(3))))",
        "does not fit alexnet",
        "fc is unexpected",
    ),
    (
        "load_checkpoint(alexnet(), safetensors(folder, of_three_classes(to_torch_state(alexnet()))))",
        "has shape (3, 4) where (2, 4) is expected",
        'head="keep"',
    ),
    ("load_npz(bit(), 'nowhere.npz')", "cannot be read as an .npz file", "No such file"),
    ("load_npz(bit(), file(folder, 'x.npz', 'text'))", "cannot be read as an .npz file", "zip"),
    ("load_npz(bit(), npz(folder, {'a': np.ones(3)}))", "a is unexpected", "is missing", "Build the network"),
    ("load_npz(bit(), npz(folder, {'a': np.array([object()])}))", "cannot be read as an .npz file", "Object arrays"),
    ("load_npz(dense(), npz(folder, {}))", "`model` must be a BiT", "sequential"),
    ("load_npz(bit(), npz(folder, {}), head='keep')", "`head` must be one of", "'keep'"),
    ("download('ResNet51')", "There are weights of", "'ResNet51'"),
    ("download('ResNet18', 'imagenet_v2')", "There are weights of", "'imagenet_v2'"),
    ("load_model('nowhere.keras')", "nowhere.keras cannot be loaded", "No such file"),
    ("load_model(file(folder, 'x.h5', ''))", "does not end in .keras"),
    ("load_model(file(folder, 'x.keras', 'text'))", "cannot be loaded", "zip"),
    ("load_model(npz(folder, {'a': np.ones(3)}).rename(folder / 'x.keras'))", "holds a.npy where config.json"),
    ("load_weights(dense(), saved(folder, dense(3)))", "does not fit sequential", "Give a file of this network"),
    ("load_weights(dense(), saved(folder, dense(3), 'x.weights.h5'))", "does not fit sequential"),
    ("load_weights(dense(), file(folder, 'x.weights.h5', 'text'))", "does not fit sequential"),
    ("load_weights(dense(), file(folder, 'x.txt', 'text'))", "its name ends in none of .keras, .weights.h5"),
    ("zoo.ResNet18(weights=file(folder, 'x.txt', 'text'))", "`weights` must end in one of", "x.txt"),
    ("zoo.AlexNet(weights=str(folder))", "`weights` must be one of", "the path of a weights file"),
    ("load_trained('nowhere')", "nowhere holds no model.keras", "finished run"),
    ("load_trained(file(folder, 'model.keras', 'text').parent)", "model.keras cannot be loaded"),
    ("load_backbone('ResNet51')", "`architecture` must be one of", "ResNet51"),
    ("load_backbone('ResNet18', 'nowhere.keras')", "There is no file nowhere.keras"),
    ("find_builder('keras.applications:MobileNetV9')", "cannot be imported", "MobileNetV9"),
    ("find_builder('no.such.module:Net')", "cannot be imported", "no.such.module"),
    ("read_record('nowhere')", "nowhere does not exist", "finished run"),
    ("read_record(file(folder, 'record.json', '').parent)", "record.json is no record of a run"),
    ("read_record(file(folder, 'record.json', '[1]').parent)", "record.json is no record of a run"),
    ("read_record(file(folder, 'record.json', '{\"model\": 1}').parent)", "record.json is no record of a run"),
    ("read_record(file(folder, 'record.json', b'\\xff{').parent)", "record.json is no record of a run"),
    (
        'read_record(file(folder, \'record.json\', \'{"recipe": "a", "experiment": "b", "data": 3}\').parent)',
        "its data must be of type dict",
    ),
    ("evaluate_run(folder, split='tset')", "`split` must be one of", "'tset'"),
]
