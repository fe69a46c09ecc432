"""From a trained network to detections in the pixels of the image files, and to COCO's figures."""

import keras

import zoo


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
        A `keras.Model`: a dict of "images" `(batch, height, width, 3)`, normalised, and "sizes" `(batch, 2)`,
        height and width of what in them is no padding, to a dict of "boxes" `(batch, detections, 4)`, "scores"
        and "labels" `(batch, detections)`, of which -1 stands for none.

    Example:

    >>> network = zoo.RetinaNet("resnet18", classes=3, channels=32, head_depth=1)
    >>> detector = make_detector(network, detections=20)
    >>> import numpy as np
    >>> images = {"images": np.zeros((2, 64, 96, 3)), "sizes": np.array([[64, 96], [50, 90]])}
    >>> {name: values.shape for name, values in detector.predict(images, verbose=0).items()}
    {'boxes': (2, 20, 4), 'scores': (2, 20), 'labels': (2, 20)}
    """
    images, sizes = network.input, keras.Input((2,), name="sizes")
    found = Detections(options, name="detections")(network.output, images, sizes)
    return keras.Model({"images": images, "sizes": sizes}, found, name=network.name)
