"""Wrong data: images, tables, annotations, folders and pickles that are damaged, or not what they should be."""

import io
import json
import pathlib
import pickle

import numpy as np
from cocos import CATEGORIES
from PIL import Image

from recipes.data import arrange
from recipes.data import decoding
from recipes.data import splits
from recipes.data.box_files import load_box_files
from recipes.data.box_files import read_classes
from recipes.data.cifar10 import load_cifar10
from recipes.data.coco import load_coco
from recipes.data.csv_files import read_csv
from recipes.data.dataset import Dataset
from recipes.data.detection import DetectionSplit
from recipes.data.detection_batches import DetectionBatches
from recipes.data.detection_preparation import DetectionPreparation
from recipes.data.export import export_dataset
from recipes.data.files import list_images
from recipes.data.framing import Framing
from recipes.data.images import load_image_dataset
from recipes.data.preparation import Preparation
from recipes.data.preparation import read_preparation

NAN = float("nan")
PIXELS = np.zeros((4, 8, 8, 3), "uint8")
DATASET = Dataset("blank", PIXELS, np.arange(4), PIXELS, np.arange(4), list("abcd"))


def encoded(size=(8, 8), kind="PNG"):
    file = io.BytesIO()
    Image.new("RGB", size, (200, 30, 60)).save(file, kind)
    return file.getvalue()


def write(folder, name, content):
    path = pathlib.Path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def classes(folder, **counts):
    """A folder for each class with so many pictures."""
    for name, count in counts.items():
        pathlib.Path(folder, name).mkdir()
        for number in range(count):
            write(folder, f"{name}/{number}.png", encoded())
    return folder


def table(folder, text, *pictures):
    """A csv beside pictures."""
    for name in pictures:
        write(folder, name, encoded())
    return write(folder, "some.csv", text)


def coco(folder, text=None, box=(1, 1, 4, 4), image=None, annotation=None, categories=CATEGORIES):
    """A json of COCO's form beside its picture, with something changed."""
    write(folder, "0.png", encoded())
    entry = {"id": 1, "image_id": 5, "category_id": 7, "bbox": list(box), **(annotation or {})}
    images = [{"id": 5, "file_name": "0.png", "height": 8, "width": 8, **(image or {})}]
    content = {"images": images, "annotations": [entry], "categories": categories}
    return write(folder, "some.json", json.dumps(content) if text is None else text)


def cifar(folder, content):
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        write(folder, name, content)
    return folder


def batch(images, labels):
    return pickle.dumps({b"data": images, b"labels": labels}, protocol=4)


ROWS = np.zeros((2, 3072), "uint8")

CASES = [
    ("decoding.read_image('nowhere.png', 8)", "nowhere.png: no such file"),
    ("decoding.read_image(folder, 8)", "Is a directory"),
    ("decoding.read_image(write(folder, '1.png', b''), 8)", "1.png: no image, damaged, or of a format"),
    ("decoding.read_image(write(folder, '1.jpg', 'text'), 8)", "1.jpg: no image, damaged, or of a format"),
    ("decoding.read_image(write(folder, '1.jpg', encoded((64, 64), 'JPEG')[:400]), 8)", "1.jpg: "),
    ("decoding.read_image(write(folder, '1.png', encoded((64, 64))[:-30]), 8)", "1.png: "),
    ("decoding.read_image(write(folder, '1.webp', encoded(kind='WEBP')), 8)", "1.webp: no image, damaged, or of a"),
    ("decoding.read_image('1.png', 0)", "`image_size` must be a positive integer", "0"),
    ("decoding.read_image('1.png', (8, 8.0))", "`image_size` must be a positive integer", "(8, 8.0)"),
    ("decoding.read_image('1.png', 10**6)", "`image_size` must have at most", "1000000"),
    ("decoding.read_image('1.png', 8, fit='centre')", "`fit` must be one of", "'centre'"),
    ("list_images('nowhere')", "`directory` must hold one folder for each class", "'nowhere'"),
    ("list_images(classes(folder, cat=1, dog=0))", "dog holds no images", "delete it"),
    ("list_images(classes(folder, cat=1), class_names=['dog'])", "cat", "classes of the training"),
    ("list_images(write(folder, 'cat/1.png', 'text').parents[1])", "1.png", "Delete or replace"),
    ("load_image_dataset(classes(folder, cat=3), 8)", "holds none of these"),
    ("load_image_dataset(classes(folder, cat=3, dog=1), 8)", "Class dog has one image"),
    ("load_image_dataset(None, 8)", "--data-dir"),
    ("load_image_dataset(classes(folder, cat=3, dog=3), 8, validation_fraction=1.5)", "`validation_fraction`", "1.5"),
    ("load_image_dataset(classes(folder, cat=3, dog=3), 8, validation_fraction=NAN)", "`validation_fraction`", "nan"),
    ("load_image_dataset(classes(folder, cat=3, dog=3), 8, layout='folder')", "`layout` must be one of", "'folder'"),
    ("load_image_dataset(classes(folder, cat=3, dog=3), 8, cache='ram')", "`cache` must be one of", "'ram'"),
    ("read_csv('nowhere.csv')", "Cannot read nowhere.csv"),
    ("read_csv(table(folder, ''))", "Cannot read", "some.csv"),
    ("read_csv(table(folder, 'path,label\\n'))", "has no rows"),
    ("read_csv(table(folder, b'\\xff\\xfe\\x00x'))", "Cannot read", "some.csv"),
    ("read_csv(table(folder, 'a,b\\n1,2\\n'))", "Say which by `path_column`", "--path-column"),
    ("read_csv(table(folder, 'path,b\\n1,2\\n'))", "Say which by `label_column`", "--label-column"),
    ("read_csv(table(folder, 'path,label\\n1.png,\\n', '1.png'))", "no value in line 2"),
    ("read_csv(table(folder, 'path,label\\n1.png,a,b,c\\n', '1.png'))", "Cannot read", "some.csv"),
    ("read_csv(table(folder, 'path,label\\n1.png,a\\n1.png,b\\n', '1.png'))", "more than once", "Leave one row"),
    ("read_csv(table(folder, 'path,label\\n1,a\\n', 'x/1.png', 'y/1.png'))", "could be", "with their folders"),
    ("read_csv(table(folder, 'path,label\\n1.png,cow\\n', '1.png'), class_names=['cat'])", "cow", "['cat']"),
    ("read_csv(table(folder, 'path,label\\n1.png,a\\n', '1.png'), group_column='who')", "has no column 'who'", "path"),
    ("load_coco('nowhere')", "`data_dir` must be a folder or a json", "'nowhere'"),
    ("load_coco(folder)", "holds none of these", "annotations/instances_train"),
    ("load_coco(coco(folder, 'text'))", "Cannot read", "some.json"),
    ("load_coco(coco(folder, '[' * 200_000))", "nested too deeply"),
    ("load_coco(coco(folder, '[]'))", "no json of COCO's form"),
    ("load_coco(coco(folder, '{\"images\": 3}'))", "'images' must be a list", "int"),
    ("load_coco(coco(folder, box=(1, 1, 4)))", "bbox must be four numbers", "[1, 1, 4]"),
    ("load_coco(coco(folder, box=(1, 1, NAN, 4)))", "bbox must be four numbers", "nan"),
    ("load_coco(coco(folder, box=(1, 1, -4, 4)))", "negative width or height"),
    ("load_coco(coco(folder, box=(1, 1, 10**400, 4)))", "bbox must be four numbers"),
    ("load_coco(coco(folder, annotation={'category_id': 9}))", "no category has the id 9"),
    ("load_coco(coco(folder, annotation={'category_id': [7]}))", "no category has the id [7]"),
    ("load_coco(coco(folder, annotation={'image_id': 6}))", "no image has the id 6"),
    ("load_coco(coco(folder, annotation={'area': 'big'}))", "its area is no number", "'big'"),
    ("load_coco(coco(folder, categories=[]))", "categories must have an integer and a name"),
    ("load_coco(coco(folder, image={'file_name': '../0.png'}))", "lead out of the folder", "../0.png"),
    ("load_coco(coco(folder, image={'file_name': '/etc/0.png'}))", "lead out of the folder", "/etc/0.png"),
    ("load_coco(coco(folder, image={'file_name': 'x' * 999}))", "xxx"),
    ("load_box_files('nowhere.csv')", "Cannot read nowhere.csv"),
    ("load_box_files(table(folder, ''))", "no lines", "path,x1,y1,x2,y2,class"),
    ("load_box_files(table(folder, '1.png,1,1,5\\n', '1.png'))", "a path and 5 more cells", "1.png,1,1,5"),
    ("load_box_files(table(folder, '1.png,1,1,x,5,cat\\n', '1.png'))", "must be four numbers", "1,1,x,5"),
    ("load_box_files(table(folder, '1.png,5,1,1,5,cat\\n', '1.png'))", "x1 < x2", "5,1,1,5"),
    ("load_box_files(table(folder, '1.png,1,1,nan,5,cat\\n', '1.png'))", "x1 < x2", "nan"),
    ("read_classes(table(folder, 'cat,0\\ndog,2\\n'))", "ids 0 to 1", "dog,2"),
    ("load_cifar10('nowhere')", "data_batch_1", "nowhere"),
    ("load_cifar10(cifar(folder, batch(ROWS, [0, 1])[:-20]))", "truncated or no batch", "Unpack it again"),
    ("load_cifar10(cifar(folder, batch(ROWS, [0, 10])))", "a label from 0 to 9"),
    ("load_cifar10(cifar(folder, batch(ROWS, [0, -1])))", "a label from 0 to 9"),
    ("load_cifar10(cifar(folder, batch(ROWS, [0, 'x'])))", "integers are expected"),
    ("load_cifar10(cifar(folder, batch(ROWS, [0])))", "a label from 0 to 9 for each of its 2 images"),
    ("load_cifar10(cifar(folder, batch(ROWS[:, :100], [0, 1])))", "uint8 images of shape (n, 3072)", "(2, 100)"),
    ("splits.split(np.array([0, 0, 1]), 0.5, class_names=['a', 'b'])", "Class b has one image"),
    ("DATASET.steps(5, 1)", "`batch_size` must be from 1 to 4", "5"),
    ("DATASET.steps(2, 0)", "`epochs` must be at least 1", "0"),
    ("export_dataset('mnist', folder / 'out')", "mnist", "digits"),
    ("arrange.arrange('nowhere', folder / 'out')", "`images` must be a folder", "'nowhere'"),
    ("arrange.arrange(classes(folder, a=2, b=2), folder.parent / 'o', mode='move')", "`mode` must be one of", "'move'"),
    ("arrange.arrange(folder, folder.parent / 'o', validation_fraction=0.5, test_fraction=0.5)", "for training"),
    ("Preparation(0, 'crop', 1.0, 1.0, ['a'])", "`image_size` must be a positive integer", "0"),
    ("Preparation(8, 'crop', 1.0, 0.0, ['a'])", "`std` must be a number", "0.0"),
    ("Preparation(8, 'crop', NAN, 1.0, ['a'])", "`mean` must be a number", "nan"),
    ("Preparation(8, 'crop', None, 1.0, ['a'])", "`mean` must be a number", "None"),
    ("Preparation(8, 'crop', 1.0, 1.0, [])", "`class_names` must be a list of str", "[]"),
    ("Preparation(8, 'crop', 1.0, 1.0, None)", "`class_names` must be a list of str", "None"),
    ("Preparation(8, 'crop', 1.0, 1.0, ['a'], crop_size=9)", "`crop_size` must be at most", "9"),
    ("DetectionPreparation(class_names=['a'], category_ids=None)", "`category_ids`", "None"),
    ("DetectionPreparation(class_names=['a'], category_ids=[1, 1])", "`category_ids`", "[1, 1]"),
    ("read_preparation(write(folder, 'preparation.json', '{').parent)", "is damaged"),
    ("read_preparation(write(folder, 'preparation.json', '{\"kind\": []}').parent)", "is damaged", "kind"),
    ("read_preparation(write(folder, 'preparation.json', '[' * 99999).parent)", "is damaged", "nested too deeply"),
    ("Framing(min_side=0)", "`min_side`", "0"),
    ("Framing(min_side=600, max_side=500)", "`max_side`", "500"),
]
