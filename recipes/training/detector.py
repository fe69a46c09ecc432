"""From a trained network to detections in the pixels of the image files, and to COCO's figures."""

import keras
import numpy as np

import zoo
from recipes.reporting.detection import DetectionEvaluation


@keras.saving.register_keras_serializable(package="recipes")
class Detections(keras.layers.Layer):
    """`zoo.boxes.detect` as a layer, the last one of a detector.

    Args:
        options: dict. Arguments of `zoo.boxes.detect` beside outputs, shape and sizes. Defaults to none.
        **kwargs: of `keras.layers.Layer`.

    Example:

    >>> Detections({"detections": 20}).get_config()["options"]
    {'detections': 20}
    """

    def __init__(self, options=None, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.options = dict(options or {})

    def call(self, outputs, images, sizes):
        return zoo.boxes.detect(outputs, keras.ops.shape(images)[1:3], sizes, **self.options)

    def compute_output_spec(self, outputs, images, sizes):
        rows = (images.shape[0], self.options.get("detections", 100))
        kinds = {"boxes": ((*rows, 4), "float32"), "scores": (rows, "float32"), "labels": (rows, "int32")}
        return {name: keras.KerasTensor(shape, dtype) for name, (shape, dtype) in kinds.items()}

    def get_config(self):
        return {**super().get_config(), "options": self.options}


def make_detector(network, **options):
    """A model that ends in detections: what `zoo.boxes.detect` does is compiled with the network.

    Args:
        network: a `keras.Model` with the outputs of `zoo.RetinaNet`.
        **options: of `zoo.boxes.detect`, such as `score_threshold`.

    Returns:
        A `keras.Model`: a list of images `(batch, height, width, 3)`, normalised, and sizes `(batch, 2)`, height
        and width of what in them is no padding; to a dict of "boxes" `(batch, detections, 4)`, "scores" and
        "labels" `(batch, detections)`, of which -1 stands for none.

    Example:

    >>> network = zoo.RetinaNet("resnet18", classes=3, channels=32, head_depth=1)
    >>> detector = make_detector(network, detections=20)
    >>> import numpy as np
    >>> images, sizes = np.zeros((2, 64, 96, 3)), np.array([[64, 96], [50, 90]])
    >>> found = detector.predict([images, sizes], verbose=0)
    >>> [found[name].shape for name in ("boxes", "scores", "labels")]
    [(2, 20, 4), (2, 20), (2, 20)]
    """
    images, sizes = network.input, keras.Input((2,), name="sizes")
    found = Detections(options, name="detections")(network.output, images, sizes)
    return keras.Model([images, sizes], found, name=network.name)


def detect_files(detector, paths, preparation, batch_size=8):
    """Detect objects in image files of any size, several at a time.

    Args:
        detector: a `keras.Model`, as `make_detector` makes it.
        paths: list of paths.
        preparation: a `recipes.data.detection_preparation.DetectionPreparation`.
        batch_size: int. Defaults to 8.

    Returns:
        list with a dict for each file: "boxes" `(detections, 4)` in its pixels, "scores" and "labels", -1 for none.

    Raises:
        ValueError: that names every file that cannot be read.

    Example:

    >>> from recipes.data.detection_preparation import DetectionPreparation
    >>> detect_files(None, [], DetectionPreparation(class_names=["cell"], category_ids=[1]))
    []
    """
    found = [None] * len(paths)
    for positions, framed in preparation.batches(paths, batch_size):
        full = np.resize(np.arange(len(positions)), batch_size)  # a smaller batch would be compiled anew
        batch = detector.predict_on_batch([framed.images[full], framed.sizes[full]])
        batch = {name: keras.ops.convert_to_numpy(values)[: len(positions)] for name, values in batch.items()}
        batch["boxes"] = framed.restore(batch["boxes"])
        for row, position in enumerate(positions):
            found[position] = {name: values[row] for name, values in batch.items()}
    return found


def evaluate(detector, split, preparation, batch_size=8):
    """COCO's figures of a detector.

    Args:
        detector: a `keras.Model`, as `make_detector` makes it.
        split: a `recipes.data.detection.DetectionSplit`.
        preparation: a `recipes.data.detection_preparation.DetectionPreparation`.
        batch_size: int. Defaults to 8.

    Returns:
        A `recipes.reporting.detection.DetectionEvaluation`.

    Raises:
        ValueError: that names every file that cannot be read.

    Example:

    >>> import tempfile
    >>> from recipes.data.coco import load_coco
    >>> from recipes.data.detection_preparation import DetectionPreparation
    >>> from recipes.data.shapes import draw_shapes
    >>> data = load_coco(draw_shapes(tempfile.mkdtemp(), train=1, validation=1, test=0))
    >>> names = {"class_names": data.class_names, "category_ids": data.category_ids}
    >>> preparation = DetectionPreparation(image_size=(64, 64), **names)
    >>> class Nothing:
    ...     def predict_on_batch(self, batch):
    ...         return {"boxes": np.zeros((1, 1, 4)), "scores": np.zeros((1, 1)), "labels": np.full((1, 1), -1)}
    >>> evaluate(Nothing(), data.validation, preparation, batch_size=1).metrics()["AP"]
    0.0
    """
    found = detect_files(detector, split.paths, preparation, batch_size)
    parts = {"boxes": split.boxes, "labels": split.labels, "crowds": split.crowds, "areas": split.areas}
    objects = [dict(zip(parts, values)) for values in zip(*parts.values())] if split.annotated else None
    names = preparation.class_names
    ids = {"image_ids": split.image_ids, "category_ids": preparation.category_ids}
    return DetectionEvaluation(found, objects, names, paths=[str(path) for path in split.paths], **ids)
