"""How good detections are: COCO's average precision and recall, of all classes and of each."""

import dataclasses
import functools
from collections.abc import Mapping

import numpy as np

RECALLS = np.linspace(0.0, 1.0, 101)
_AREAS = ("all", "small", "medium", "large")
_COUNTS = (1, 10, 100)
_THRESHOLDS = np.linspace(0.5, 0.95, 10)
_FIGURES = {  # of what, at which threshold (None: the mean of all), of objects of which size, with how many detections
    "AP": ("precision", None, "all", 100),
    "AP50": ("precision", 0.5, "all", 100),
    "AP75": ("precision", 0.75, "all", 100),
    "AP_small": ("precision", None, "small", 100),
    "AP_medium": ("precision", None, "medium", 100),
    "AP_large": ("precision", None, "large", 100),
    "AR1": ("recall", None, "all", 1),
    "AR10": ("recall", None, "all", 10),
    "AR100": ("recall", None, "all", 100),
    "AR_small": ("recall", None, "small", 100),
    "AR_medium": ("recall", None, "medium", 100),
    "AR_large": ("recall", None, "large", 100),
}
METRICS = tuple(_FIGURES)


@dataclasses.dataclass(frozen=True)
class DetectionEvaluation:
    """What a model detected in a set of images, and what is there.

    Boxes are `(left, top, right, bottom)` in pixels of the images as they are in their files. The
    figures are those of pycocotools, computed by faster-coco-eval.

    Args:
        detections: list with a dict for each image: "boxes" `(count, 4)`, "scores" and "labels"
            `(count,)`; or one dict of such arrays with an axis of images before. Labels count from 0;
            rows whose label is -1 are none.
        objects: the same with what is there: "boxes", "labels"; where they are known also "crowds", bool,
            whether a box is a crowd, in which detections are neither right nor wrong, and "areas", of the
            masks, by which COCO calls objects small, medium or large (else those of the boxes). None where
            it is not known: then there are detections only.
        class_names: list of str.
        image_ids: list of int or str, those of the annotation file; None for 1, 2, ... Defaults to None.
        category_ids: list of int, those of the annotation file; None for 1, 2, ... Defaults to None.
        paths: list of str, the files of the images, or None. Defaults to None.

    Raises:
        ValueError: if these do not fit together, or boxes, scores or labels are none.

    Example:

    >>> box = np.array([[0.0, 0.0, 10.0, 10.0]])
    >>> found = {"boxes": box, "scores": [0.9], "labels": [0]}
    >>> evaluation = DetectionEvaluation([found], [{"boxes": box, "labels": [0]}], ["cell"])
    >>> round(evaluation.metrics()["AP"], 9), evaluation.metrics()["AP_large"]
    (1.0, -1.0)
    """

    detections: list
    objects: list
    class_names: list
    image_ids: list = None
    category_ids: list = None
    paths: list = None

    def __post_init__(self):
        names = list(self.class_names)
        detections = _checked("detections", self.detections, len(names), ("scores",))
        count, objects = len(detections), self.objects
        if not count:
            raise ValueError("There are no images. Give the detections of one at least, though it has none.")
        if objects is not None:
            objects = _checked("objects", objects, len(names), ("crowds", "areas"))
            _same_length("objects", objects, count, "images")
        if self.paths is not None:
            _same_length("paths", self.paths, count, "images")
        checked = {
            "detections": detections,
            "objects": objects,
            "class_names": names,
            "image_ids": _identifiers("image_ids", self.image_ids, count, "images"),
            "category_ids": _identifiers("category_ids", self.category_ids, len(names), "classes"),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def __len__(self):
        return len(self.detections)

    def metrics(self):
        """The twelve figures of COCO.

        Returns:
            dict of `METRICS` to float: -1.0 where there is no object of such a size.

        Raises:
            ValueError: if it is not known what is there.
        """
        return {name: _mean(self._values(*figure)) for name, figure in _FIGURES.items()}

    def intervals(self):
        """Intervals of the figures: none is customary for average precision.

        Returns:
            An empty dict.
        """
        return {}

    def summary(self):
        """The twelve lines, as pycocotools prints them.

        Returns:
            str.
        """
        return "\n".join(_line(*_FIGURES[name], value) for name, value in self.metrics().items())

    def per_class(self):
        """The figures of each class.

        Returns:
            A `pandas.DataFrame` with a row for each class, named by it: AP, AP50, AP75, AR100 (NaN for a
            class without objects), and how many objects (crowds aside) and detections there are.
        """
        import pandas

        labels = [image["labels"][~image["crowds"]] for image in self._known]
        labels = [np.concatenate(each) for each in (labels, [image["labels"] for image in self.detections])]
        count = len(self.class_names)
        columns = {
            name: [_mean(self._values(*_FIGURES[name])[..., label], np.nan) for label in range(count)]
            for name in ("AP", "AP50", "AP75", "AR100")
        } | {
            "objects": np.bincount(labels[0], minlength=count),
            "detections": np.bincount(labels[1], minlength=count),
        }
        return pandas.DataFrame(columns, index=pandas.Index(self.class_names, name="class"))

    def precision_recall(self, threshold=0.5):
        """Precision over recall for each class.

        Args:
            threshold: float. The intersection over union from which on a detection is right: one of 0.5,
                0.55, ... 0.95. Defaults to 0.5.

        Returns:
            float array `(classes, 101)`: the highest precision at a recall of 0, 0.01, ... 1 or more; NaN
            for a class without objects.

        Raises:
            ValueError: for another threshold.
        """
        if not np.isclose(_THRESHOLDS, threshold).any():
            raise ValueError(f"`threshold` must be one of 0.5, 0.55, ... 0.95. Received: threshold={threshold}")
        precision = self._values("precision", threshold, "all", 100)[0].T
        return np.where(precision < 0, np.nan, precision)

    def results(self):
        """The detections in COCO's results format.

        Returns:
            list with a dict for each: image_id, category_id, bbox `[left, top, width, height]`, score.
        """
        return self._results(self.image_ids)

    def _results(self, image_ids):
        return [
            {"image_id": image_id, "category_id": self.category_ids[label], "bbox": _extents(box), "score": score}
            for image_id, image in zip(image_ids, self.detections)
            for box, score, label in zip(image["boxes"], image["scores"].tolist(), image["labels"])
        ]

    def _annotations(self, image_ids):
        annotations = [
            {"image_id": image_id, "category_id": self.category_ids[label], "bbox": _extents(box)}
            | {"area": float(area), "iscrowd": int(crowd)}
            for image_id, image in zip(image_ids, self._known)
            for box, label, area, crowd in zip(*(image[part] for part in ("boxes", "labels", "areas", "crowds")))
        ]
        for number, annotation in enumerate(annotations, 1):  # from 1: to COCO's code 0 means none
            annotation["id"] = number
        categories = [{"id": number, "name": name} for number, name in zip(self.category_ids, self.class_names)]
        images = [{"id": image_id} for image_id in image_ids]
        return {"images": images, "annotations": annotations, "categories": categories}

    @property
    def _numbers(self):
        """Numbers for ids, which may be texts, in their order: by it COCO's code ranks what has the same score."""
        order = sorted(self.image_ids, key=lambda image_id: (isinstance(image_id, str), image_id))
        ranks = {image_id: rank for rank, image_id in enumerate(order)}
        return [ranks[image_id] for image_id in self.image_ids]

    @property
    def _known(self):
        if self.objects is None:
            raise ValueError("It is not known what is in these images. Give `objects`.")
        return self.objects

    def _values(self, kind, threshold, area, most):
        """Precisions `(thresholds, recalls, classes)`, or recalls without the second axis; -1 where undefined."""
        values = self._accumulated[kind][..., _AREAS.index(area), _COUNTS.index(most)]
        return values if threshold is None else values[np.isclose(_THRESHOLDS, threshold)]

    @functools.cached_property
    def _accumulated(self):
        """Arrays of precision (thresholds, recalls, classes, areas, counts), and of recall without the second axis."""
        try:
            from faster_coco_eval import COCO
            from faster_coco_eval.core.faster_eval_api import COCOeval_faster
        except ImportError as error:
            text = "Average precision needs faster-coco-eval: pip install 'keras-zoo[detection]'."
            raise ValueError(text) from error
        numbers = self._numbers
        truth = COCO(self._annotations(numbers))
        evaluation = COCOeval_faster(truth, truth.loadRes(self._results(numbers)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        order = [sorted(self.category_ids).index(number) for number in self.category_ids]
        return {"precision": evaluation.eval["precision"][:, :, order], "recall": evaluation.eval["recall"][:, order]}


def _checked(name, given, classes, further):
    """A dict of checked arrays for each image."""
    if isinstance(given, Mapping):
        given = [dict(zip(given, rows)) for rows in zip(*given.values())]
    return [_checked_image(f"{name}[{position}]", image, classes, further) for position, image in enumerate(given)]


def _checked_image(name, given, classes, further):
    labels = np.asarray(given["labels"], "int64").reshape(-1)
    boxes = np.asarray(given["boxes"], "float64").reshape(-1, 4)
    image = {"boxes": boxes, "labels": labels} | _defaults(boxes, given, further)
    for part, values in image.items():
        _same_length(f"{name}[{part!r}]", values, len(labels), "labels")
    image = {part: values[labels != -1] for part, values in image.items()}
    wrong = (image["labels"] < 0) | (image["labels"] >= classes)
    if wrong.any():
        received = image["labels"][wrong][0]
        raise ValueError(f"Labels in {name} must count from 0 to {classes - 1}, or be -1. Received: {received}")
    boxes = image["boxes"]
    if not np.isfinite(boxes).all() or (boxes[:, 2:] < boxes[:, :2]).any():
        bad = boxes[~(np.isfinite(boxes).all(1) & (boxes[:, 2:] >= boxes[:, :2]).all(1))][0].tolist()
        raise ValueError(f"Boxes in {name} must be (left, top, right, bottom), finite numbers. Received: {bad}")
    if "scores" in image and not np.isfinite(image["scores"]).all():
        raise ValueError(f"Scores in {name} must be finite. Received: {image['scores'].tolist()}")
    return image


def _defaults(boxes, given, further):
    sizes = boxes[:, 2:] - boxes[:, :2]
    known = {
        "scores": lambda: np.asarray(given["scores"], "float64"),
        "areas": lambda: np.asarray(given.get("areas", sizes.prod(-1)), "float64"),
        "crowds": lambda: np.asarray(given.get("crowds", np.zeros(len(boxes))), bool),
    }
    return {part: known[part]().reshape(-1) for part in further}


def _same_length(name, values, count, of):
    if len(values) != count:
        raise ValueError(f"`{name}` must be as many as the {count} {of}. Received: {len(values)}")


def _identifiers(name, values, count, of):
    values = list(range(1, count + 1)) if values is None else [_plain(value) for value in values]
    _same_length(name, values, count, of)
    if len(set(values)) < count:
        twice = next(value for value in values if values.count(value) > 1)
        raise ValueError(f"`{name}` must be different ones. Received twice: {twice}")
    return values


def _plain(value):
    """A number of NumPy as one of Python, which JSON takes."""
    return value if isinstance(value, str) else int(value)


def _line(kind, threshold, area, most, value):
    title = f"Average {kind.capitalize()}"
    thresholds = "0.50:0.95" if threshold is None else f"{threshold:0.2f}"
    where = f"IoU={thresholds:<9} | area={area:>6s} | maxDets={most:>3d}"
    return f" {title:<18} (A{kind[0].upper()}) @[ {where} ] = {value:0.3f}"


def _extents(box):
    left, top, right, bottom = box.tolist()
    return [left, top, right - left, bottom - top]


def _mean(values, nothing=-1.0):
    """The mean of what is defined; COCO's code marks with -1 what is not."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else nothing
