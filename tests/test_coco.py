"""Detection data: what is read of COCO's json files and of csv files, and what is refused."""

import json
import pathlib
import shutil

import numpy as np
import pytest
from cocos import CATEGORIES
from cocos import write_coco
from cocos import write_images
from cocos import write_json
from PIL import Image

from recipes.data import decoding
from recipes.data.box_files import load_box_files
from recipes.data.coco import load_coco
from recipes.data.detection import DetectionSplit
from recipes.data.detection import in_memory
from recipes.training.memory import InMemoryData

BCCD = pathlib.Path(__file__).parents[2] / "shared" / "data" / "bccd"
LAYOUTS = {
    "plain": {},
    "coco": {"annotations": "annotations/instances_{}2017.json", "images": "{}2017"},
    "images": {"annotations": "annotations/instances_{}2017.json", "images": "images/{}2017"},
    "together": {"annotations": "{}.json", "images": "images"},
    "roboflow": {"annotations": "{}/_annotations.coco.json"},
}


def check(data, train=6, validation=3):
    """The data set that `write_coco` wrote."""
    assert (len(data.train), len(data.validation)) == (train, validation)
    assert (data.class_names, data.category_ids) == (["cat", "dog"], [3, 7])
    for split, first in ((data.train, 0), (data.validation, train)):
        for row, path in enumerate(split.paths):
            pixels = np.asarray(Image.open(path))[..., 0]
            rows, columns = np.nonzero(pixels)
            box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert split.boxes[row].tolist() == [box]
            assert split.labels[row].tolist() == [1 - pixels.max() % 2]
            assert split.sizes[row].tolist() == list(pixels.shape)
            assert split.areas[row].tolist() == [(box[2] - box[0]) * (box[3] - box[1])]
            assert pixels.max() == 100 + first + row


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_are_found(layout, tmp_path):
    data = load_coco(write_coco(tmp_path, **LAYOUTS[layout]))
    check(data)
    assert data.validation.image_ids == [56, 57, 58]
    assert data.describe()["objects"] == {"train": 6, "validation": 3}


def test_files_are_given(tmp_path):
    write_coco(tmp_path, annotations="a/{}_of_mine.json", images="b/{}_of_mine")
    with pytest.raises(ValueError, match=r"holds none of these: annotations/instances_train"):
        load_coco(tmp_path)
    given = [(tmp_path / f"a/{name}_of_mine.json", tmp_path / f"b/{name}_of_mine") for name in ("train", "val")]
    check(load_coco(tmp_path, *given))


def test_two_files_for_a_split_are_refused_unless_one_is_given(tmp_path):
    write_coco(tmp_path)
    shutil.copy(tmp_path / "annotations/instances_train.json", tmp_path / "annotations/instances_train2014.json")
    with pytest.raises(ValueError, match="both for train. Give one as `train`"):
        load_coco(tmp_path)
    check(load_coco(tmp_path, train=tmp_path / "annotations/instances_train.json"))


@pytest.mark.parametrize("listed", [True, False])
def test_a_test_set_needs_no_annotations(listed, tmp_path):
    write_coco(tmp_path)
    images, _ = write_images(tmp_path / "test2017", 2, first=20)
    if listed:
        write_json(tmp_path / "annotations/image_info_test2017.json", images)
    data = load_coco(tmp_path)
    check(data)
    assert not data.test.annotated
    assert data.test.image_ids == ([70, 71] if listed else [1, 2])
    assert data.test.sizes.tolist() == [[24, 48], [30, 40]]
    assert data.describe()["test"] == 2
    assert data.test.objects(1)[0].shape == (0, 4)


def test_validation_is_split_off(tmp_path):
    path = write_json(tmp_path / "instances_default.json", *write_images(tmp_path / "images", 10))
    data = load_coco(tmp_path, validation_fraction=0.3, seed=1)
    assert sorted(data.train.image_ids + data.validation.image_ids) == list(range(50, 60))
    assert len(data.validation) == 3
    others = [load_coco(path, validation_fraction=0.3, seed=seed).validation.image_ids for seed in (1, 2)]
    assert others[0] == data.validation.image_ids != others[1]


def rewrite(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_training_drops_slivers_cuts_at_the_edge_and_marks_crowds(tmp_path):
    def change(content):
        content["annotations"][0] |= {"bbox": [-5, 10, 15, 40], "area": 123.5}
        of_first = {"image_id": 50, "category_id": 3}
        content["annotations"] += [
            {"id": 90, "bbox": [1, 1, 0.9, 9], "iscrowd": 0, **of_first},
            {"id": 91, "bbox": [5, 5, 9, 9], "iscrowd": 1, **of_first},
        ]

    write_coco(tmp_path)
    rewrite(tmp_path / "annotations/instances_train.json", change)
    train = load_coco(tmp_path).train
    assert train.areas[0].tolist() == [123.5, 8.1, 81], "evaluation sees all, as it was annotated"
    assert train.boxes[0].tolist() == [[-5, 10, 10, 50], [1, 1, 1.9, 10], [5, 5, 14, 14]]
    boxes, labels = train.objects(0)
    assert boxes.tolist() == [[0, 10, 10, 30], [5, 5, 14, 14]]
    assert labels.tolist() == [1, -2]
    assert train.most_objects == 2


def test_roboflows_heading_is_no_class(tmp_path):
    categories = [{"id": 0, "name": "pets", "supercategory": "none"}]
    categories += [{**each, "supercategory": "pets"} for each in CATEGORIES]
    path = write_json(tmp_path / "train.json", *write_images(tmp_path / "images", 5), categories)
    assert load_coco(path).class_names == ["cat", "dog"]
    rewrite(path, lambda content: content["annotations"][0].update(category_id=0))
    assert load_coco(path).class_names == ["pets", "cat", "dog"]


BROKEN = {
    "no images": (lambda content: content.pop("images"), "has no images"),
    "images": (lambda content: content.update(images={}), "'images' must be a list"),
    "entry": (lambda content: content["images"][2].pop("file_name"), "entry 2 of 'images' lacks file_name"),
    "same id": (lambda content: content["images"][1].update(id=50), "images have the same id: 50"),
    "id": (lambda content: content["images"][1].update(id=[1]), "the id of an image must be an integer or a str"),
    "no annotations": (lambda content: content.pop("annotations"), "'annotations' must be a list"),
    "box": (lambda content: content["annotations"][1].update(bbox=[1, 2, 3]), "annotation 2: its bbox must be four"),
    "nan": (lambda content: content["annotations"][1].update(bbox=[1, 2, 3, float("nan")]), "four numbers"),
    "negative": (lambda content: content["annotations"][1].update(bbox=[9, 2, -3, 4]), "negative width or height"),
    "outside": (
        lambda content: content["annotations"][1].update(bbox=[99, 2, 3, 4]),
        r"\(99, 2, 102, 6\) in .*001.png",
    ),
    "image": (lambda content: content["annotations"][1].update(image_id=4), "no image has the id 4"),
    "category": (lambda content: content["annotations"][1].update(category_id=4), "no category has the id 4"),
    "area": (lambda content: content["annotations"][1].update(area="x"), "its area is no number"),
    "categories": (lambda content: content.update(categories=[]), "categories must have an integer and a name"),
    "same name": (lambda content: content["categories"][0].update(name="cat"), "a name each of their own"),
    "size": (lambda content: content["images"][0].update(width=30, height=40), "30x40|40x30 pixels"),
    "missing": (lambda content: content["images"][0].update(file_name="9.png"), "9.png: no such file"),
    "twice": (lambda content: content["images"][0].update(file_name="003.png"), "named more than once: .*003.png"),
    "no objects": (lambda content: content.update(annotations=[]), "no object to train on"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_wrong_with_a_json_is_said(case, tmp_path):
    change, message = BROKEN[case]
    write_coco(tmp_path)
    rewrite(tmp_path / "annotations/instances_train.json", change)
    with pytest.raises(ValueError, match=message):
        load_coco(tmp_path)


def test_other_refusals(tmp_path):
    write_coco(tmp_path)
    path = tmp_path / "annotations/instances_val.json"
    rewrite(path, lambda content: content["categories"][0].update(name="horse"))
    with pytest.raises(ValueError, match="its category 7 is 'horse' here, and 'dog' in the training"):
        load_coco(tmp_path)
    path.write_text(path.read_text()[:-9])
    with pytest.raises(ValueError, match=r"Cannot read .*instances_val.json: Expecting"):
        load_coco(tmp_path)
    with pytest.raises(ValueError, match="in train and validation. Leave each in one"):
        load_coco(tmp_path, validation=tmp_path / "annotations/instances_train.json")
    with pytest.raises(ValueError, match="`data_dir` must be a folder or a json. Received: None"):
        load_coco(None)


def test_bad_files_are_named_or_left_out(tmp_path):
    write_coco(tmp_path)
    (tmp_path / "train/001.png").unlink()
    damaged = tmp_path / "train/002.png"
    damaged.write_bytes(damaged.read_bytes()[:-60])
    with pytest.raises(ValueError, match=r"2 images cannot be read: .*002.png.*001.png: no such file|001.*002"):
        load_coco(tmp_path)
    data = load_coco(tmp_path, skip_bad=True)
    assert data.train.image_ids == [50, 53, 54, 55]
    assert len(data.skipped) == data.describe()["skipped"] == 2
    with pytest.raises(ValueError, match="1 image cannot be read: .*001.png: no such file"):
        load_coco(tmp_path, check=False)


def test_the_fingerprint_is_of_the_annotations(tmp_path):
    write_coco(tmp_path)
    first = load_coco(tmp_path).describe()
    assert first == load_coco(tmp_path, check=False).describe()
    rewrite(tmp_path / "annotations/instances_val.json", lambda content: content["annotations"][0].update(iscrowd=1))
    assert load_coco(tmp_path).describe()["sha256"] != first["sha256"]


# In memory


def test_images_in_memory_are_of_one_size_and_boxes_follow(tmp_path):
    train = load_coco(write_coco(tmp_path)).train
    arrays = in_memory(train, (60, 80), rows=3)
    np.testing.assert_array_equal(arrays["images"], decoding.read_images(train.paths, (60, 80)))
    assert arrays["labels"].tolist() == [[1 - row % 2, -1, -1] for row in range(6)]
    assert (arrays["boxes"][:, 1:] == 0).all()
    for image, (left, top, right, bottom) in zip(arrays["images"], arrays["boxes"][:, 0]):
        rows, columns = np.nonzero(image[..., 0] > image.max() / 2)
        assert (
            np.abs([columns.min() - left, rows.min() - top, columns.max() + 1 - right, rows.max() + 1 - bottom]).max()
            < 1
        )
    images, targets = InMemoryData(**arrays, batch_size=6, shuffle=False)[0]
    assert (images == arrays["images"]).all()
    assert (targets["boxes"] == arrays["boxes"]).all()
    with pytest.raises(ValueError, match="`rows` must be at least 1"):
        in_memory(train, 32, rows=0)


def test_images_without_objects_are_in_memory_too(tmp_path):
    write_images(tmp_path, 1)
    split = DetectionSplit([tmp_path / "000.png"], np.array([[30, 40]], "int32"), [1])
    arrays = in_memory(split, 16)
    assert (arrays["labels"] == -1).all()
    assert arrays["boxes"].shape == (1, 1, 4)


# Files of boxes


def write_lines(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def test_csv_files_give_what_the_json_gives(tmp_path):
    expected, classes = load_coco(write_coco(tmp_path)), write_lines(tmp_path / "classes.csv", "dog,1", "cat,0")
    paths = {}
    for name in ("train", "validation"):
        split = getattr(expected, name)
        lines = [
            f"{path},{','.join(f'{side:g}' for side in box)},{expected.class_names[label]}"
            for path, [box], [label] in zip(split.paths, split.boxes, split.labels)
        ]
        paths[name] = write_lines(tmp_path / f"{name}.csv", "path,x1,y1,x2,y2,class", *lines)
    write_images(tmp_path / "others", 2, first=30)
    test = write_lines(tmp_path / "test.csv", "others/030.png", "others/031.png")
    for settings in ({"classes": classes}, {}):
        data = load_box_files(**paths, test=test, **settings)
        for name in paths:
            ours, theirs = getattr(data, name), getattr(expected, name)
            assert ours.paths == theirs.paths
            for part in ("boxes", "labels", "crowds", "areas", "sizes"):
                assert all(map(np.array_equal, getattr(ours, part), getattr(theirs, part)))
        assert (data.class_names, data.category_ids) == (["cat", "dog"], [0, 1])
        assert (data.test.annotated, len(data.test)) == (False, 2)


def test_csv_lines_may_have_no_object(tmp_path):
    write_images(tmp_path, 4)
    lines = ["000.png,1,2,30,20,cat", "001.png,,,,,", "000.png,3,3,9,9,dog", "002.png,,,,,", "003.png,0,0,9,9,dog"]
    data = load_box_files(write_lines(tmp_path / "all.csv", *lines), validation_fraction=0.25)
    count = {
        path.split("/")[-1]: len(labels)
        for split in data.splits.values()
        for path, labels in zip(split.paths, split.labels)
    }
    assert count == {"000.png": 2, "001.png": 0, "002.png": 0, "003.png": 1}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("000.png,5,5,3,9,cat", "line 2: a box must have x1 < x2"),
        ("000.png,5,5,x,9,cat", "line 2: a box must be four numbers"),
        ("000.png,5,5,9,9", "line 2: it must have a path and 5 more cells"),
        (",5,5,9,9,cat", "line 2: it must have a path"),
        ("000.png,5,5,9,9,bird", "'bird' is none of the classes cat, dog"),
        ("000.png,95,5,99,9,cat", r"\(95, 5, 99, 9\) in"),
        ("zzz.png,5,5,9,9,cat", "zzz.png: no such file"),
    ],
)
def test_what_is_wrong_with_a_csv_is_said(line, message, tmp_path):
    write_images(tmp_path, 2)
    classes = write_lines(tmp_path / "classes.csv", "cat,0", "dog,1")
    path = write_lines(tmp_path / "all.csv", "001.png,1,1,9,9,dog", line)
    with pytest.raises(ValueError, match=message):
        load_box_files(path, classes=classes, validation_fraction=0.5)
    write_lines(classes, "cat,0", "dog,2")
    with pytest.raises(ValueError, match=r"with the ids 0 to 1. Received: cat,0; dog,2"):
        load_box_files(path, classes=classes)


# Real images


def test_bccd():
    if not BCCD.is_dir():
        pytest.skip("the annotated images of blood cells are not on this machine")
    data = load_coco(BCCD, check=False)
    assert (len(data.train), len(data.validation), data.class_names) == (205, 87, ["RBC", "WBC", "Platelets"])
    content = json.loads((BCCD / "annotations/instances_val.json").read_text())
    given = {(each["image_id"], each["category_id"], *each["bbox"]) for each in content["annotations"]}
    split = data.validation
    ours = {
        (split.image_ids[row], data.category_ids[label], left, top, right - left, bottom - top)
        for row in range(len(split))
        for label, (left, top, right, bottom) in zip(split.labels[row], split.boxes[row])
    }
    assert ours == given
    assert split.most_objects == 30
