"""Average precision of detections against pycocotools fed by hand, and what it refuses."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from recipes.reporting.detection import METRICS
from recipes.reporting.detection import DetectionEvaluation

IMAGE_IDS, CATEGORY_IDS, NAMES = [9, 0, 4], [7, 2, 5], ["red", "green", "blue"]
# Of each object: image, category, left, top, width, height, area, crowd.
OBJECTS = [
    (9, 7, 10, 10, 20, 20, 300, 0),
    (9, 7, 100, 50, 60, 60, 3600, 0),
    (9, 2, 10.5, 100.25, 150.5, 99.75, 15012.375, 0),
    (0, 2, 0, 0, 200, 150, 30000, 1),
    (0, 7, 30, 30, 10, 10, 100, 0),
    (0, 5, 120, 120, 40, 40, 1600, 0),
]
# Of each detection: image, category, left, top, width, height, score.
DETECTIONS = [
    (9, 7, 12, 11, 20, 20, 0.9),
    (9, 7, 12, 11, 20, 20, 0.8),
    (9, 7, 100, 50, 60, 45, 0.8),  # an intersection over union of 0.75 exactly, a threshold
    (9, 2, 12, 98, 150, 100, 0.3),
    (9, 2, 13, 90, 140, 100, 0.3),
    (0, 2, 20, 20, 50, 50, 0.95),
    (0, 2, 190, 140, 50, 50, 0.7),
    (0, 7, 30, 30, 10, 10, 0.2),
    (0, 5, 100, 100, 40, 40, 0.6),
    (4, 7, 5, 5, 300, 200, 0.5),
]


def referee(objects, detections):
    """What pycocotools makes of the rows: the twelve figures, its arrays, and what it prints."""
    annotations = [
        {"id": number, "image_id": image, "category_id": category, "bbox": list(box), "area": area, "iscrowd": crowd}
        for number, (image, category, *box, area, crowd) in enumerate(objects, 1)
    ]
    found = [
        {"image_id": image, "category_id": category, "bbox": list(box), "score": score}
        for image, category, *box, score in detections
    ]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        truth = COCO()
        categories = [{"id": number, "name": name} for number, name in zip(CATEGORY_IDS, NAMES)]
        images = [{"id": number} for number in IMAGE_IDS]
        truth.dataset = {"images": images, "annotations": annotations, "categories": categories}
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        printed.truncate(0)
        printed.seek(0)
        evaluation.summarize()
    return evaluation, printed.getvalue()


def ours(objects, detections):
    """The same rows as boxes by their corners, and classes counted from 0."""

    def image(rows, number):
        chosen = [row for row in rows if row[0] == number]
        corners = [(left, top, left + width, top + height) for _, _, left, top, width, height, *_ in chosen]
        return {"boxes": np.reshape(corners, (-1, 4)), "labels": [CATEGORY_IDS.index(row[1]) for row in chosen]}, chosen

    found, there = [], []
    for number in IMAGE_IDS:
        known, rows = image(objects, number)
        there.append(known | {"areas": [row[6] for row in rows], "crowds": [row[7] for row in rows]})
        known, rows = image(detections, number)
        found.append(known | {"scores": [row[6] for row in rows]})
    return DetectionEvaluation(found, there, NAMES, IMAGE_IDS, CATEGORY_IDS)


def random_rows(seed):
    """Objects with crowds among them, and detections near and far, of few different scores."""
    random = np.random.default_rng(seed)
    objects, detections = [], []
    for image in IMAGE_IDS:
        for _ in range(random.integers(1, 25)):
            box = np.concatenate([random.integers(0, 200, 2), random.integers(2, random.choice([20, 60, 200]), 2)])
            category, area = int(random.choice(CATEGORY_IDS)), box[2] * box[3] * random.uniform(0.4, 1)
            objects.append((image, category, *box.tolist(), float(area), int(random.random() < 0.1)))
            for _ in range(random.integers(0, 8)):
                moved = box + np.round(random.normal(0, random.choice([0.3, 4, 20]), 4))
                moved[2:] = np.maximum(moved[2:], 1)
                detections.append((image, int(random.choice(CATEGORY_IDS)), *moved.tolist(), round(random.random(), 2)))
    return objects, detections


@pytest.mark.parametrize("seed", [None, *range(6)])
def test_figures_are_those_of_pycocotools(seed):
    objects, detections = (OBJECTS, DETECTIONS) if seed is None else random_rows(seed)
    evaluation, printed = referee(objects, detections)
    mine = ours(objects, detections)
    np.testing.assert_allclose(list(mine.metrics().values()), evaluation.stats, rtol=0, atol=1e-12)
    assert tuple(mine.metrics()) == METRICS
    assert mine.summary() + "\n" == printed
    order = [sorted(CATEGORY_IDS).index(number) for number in CATEGORY_IDS]
    precision = evaluation.eval["precision"][:, :, order, 0, 2]
    table = mine.per_class()
    for label, name in enumerate(NAMES):
        np.testing.assert_allclose(table.loc[name, "AP"], precision[:, :, label].mean(), rtol=0, atol=1e-12)
        np.testing.assert_allclose(table.loc[name, "AP75"], precision[5, :, label].mean(), rtol=0, atol=1e-12)
        for threshold, row in ((0.5, 0), (0.75, 5), (0.95, 9)):
            curve = mine.precision_recall(threshold)[label]
            np.testing.assert_allclose(curve, precision[row, :, label], rtol=0, atol=1e-12)


def test_figures_known_by_hand():
    """Of two objects one is found, after a false detection: the precision is 1/2 up to a recall of 1/2."""
    boxes = [[0, 0, 10, 10], [50, 50, 60, 60]]
    found = {"boxes": [[20, 20, 30, 30], boxes[0]], "scores": [0.9, 0.8], "labels": [0, 0]}
    evaluation = DetectionEvaluation([found], [{"boxes": boxes, "labels": [0, 0]}], ["a", "nothing"])
    assert evaluation.metrics()["AP"] == pytest.approx(0.5 * 51 / 101, abs=1e-12)
    assert evaluation.metrics()["AR100"] == 0.5 and evaluation.metrics()["AR1"] == 0
    assert evaluation.metrics()["AP_large"] == -1  # there is none
    table = evaluation.per_class()
    assert table["objects"].tolist() == [2, 0] and table["detections"].tolist() == [2, 0]
    assert table["AP"].isna().tolist() == [False, True]
    assert np.isnan(evaluation.precision_recall()[1]).all()


def test_padded_batches_are_the_same_as_lists():
    boxes = np.zeros((2, 3, 4))
    boxes[0, :2] = [[0, 0, 10, 10], [20, 20, 40, 40]]
    labels = np.array([[0, 1, -1], [-1, -1, -1]])
    detections = {"boxes": boxes, "scores": np.array([[0.9, 0.8, 0], [0, 0, 0]]), "labels": labels}
    padded = DetectionEvaluation(detections, {"boxes": boxes, "labels": labels}, ["a", "b"])
    assert [len(image["boxes"]) for image in padded.detections] == [2, 0]
    assert padded.metrics()["AP"] == pytest.approx(1)
    named = DetectionEvaluation(padded.detections, padded.objects, ["a", "b"], image_ids=["x/1.jpg", "2"])
    assert named.metrics() == padded.metrics() and named.results()[0]["image_id"] == "x/1.jpg"
    assert padded.results()[1] == {"image_id": 1, "category_id": 2, "bbox": [20, 20, 20, 20], "score": 0.8}


def test_no_detections_and_no_objects():
    nothing = {"boxes": [], "scores": [], "labels": []}
    there = {"boxes": [[0, 0, 10, 10]], "labels": [0]}
    assert DetectionEvaluation([nothing], [there], ["a"]).metrics()["AP"] == 0
    assert set(DetectionEvaluation([nothing], [nothing], ["a"]).metrics().values()) == {-1}
    with pytest.raises(ValueError, match="not known what is in"):
        DetectionEvaluation([nothing], None, ["a"]).metrics()


BOX = {"boxes": [[0, 0, 10, 10]], "scores": [0.5], "labels": [0]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([BOX], [BOX, BOX], ["a"]), "as many as the 1 images. Received: 2"),
        (([BOX | {"labels": [1]}], None, ["a"]), "from 0 to 0, or be -1. Received: 1"),
        (([BOX | {"labels": [-2]}], None, ["a"]), "Received: -2"),
        (([BOX | {"boxes": [[5, 5, 1, 9]]}], None, ["a"]), r"\(left, top, right, bottom\).*\[5.0, 5.0, 1.0, 9.0\]"),
        (([BOX | {"boxes": [[0, 0, np.nan, 9]]}], None, ["a"]), "finite"),
        (([BOX | {"scores": [np.inf]}], None, ["a"]), "Scores in detections"),
        (([BOX | {"scores": [0.5, 0.5]}], None, ["a"]), "as many as the 1 labels. Received: 2"),
        (([BOX, BOX], None, ["a"], [3, 3]), "`image_ids` must be different ones. Received twice: 3"),
        (([BOX], None, ["a"], None, [1, 2]), "`category_ids` must be as many as the 1 classes"),
        (([], None, ["a"]), "no images"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        DetectionEvaluation(*arguments)
    with pytest.raises(ValueError, match="one of 0.5, 0.55"):
        DetectionEvaluation([BOX], [BOX], ["a"]).precision_recall(0.52)
