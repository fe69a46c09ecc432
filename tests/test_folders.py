"""Folders of images: what is read, in which order, and what is refused."""

import numpy as np
import pytest
from PIL import Image

import augment
from recipes.data import folders

SIZES = {"cat": (360, 270), "dog": (210, 420)}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Two classes of smooth pictures, as JPEG, PNG and BMP, one of them grey."""
    directory = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for name, size in SIZES.items():
        (directory / name).mkdir()
        for number, kind in enumerate(("jpg", "jpg", "jpeg", "png", "bmp")):
            coarse = Image.fromarray(rng.integers(256, size=(5, 6, 3), dtype="uint8"))
            picture = coarse.resize(size, Image.Resampling.BICUBIC).convert("L" if number == 1 else "RGB")
            picture.save(directory / name / f"{number}.{kind}", **({"quality": 95} if kind[0] == "j" else {}))
    (directory / "cat" / ".hidden").write_text("passed over")
    return directory


def arrays(data):
    batches = [[np.asarray(each) for each in batch] for batch in data]
    return [np.concatenate(each) for each in zip(*batches)]


def pil(path, size, box=None):
    return np.asarray(Image.open(path).convert("RGB").resize(size[::-1], Image.Resampling.BILINEAR, box), "float32")


def test_lists_files_and_classes_by_name(directory):
    files = folders.list_images(directory)
    assert files.class_names == ["cat", "dog"]
    assert [path.rpartition("/")[2] for path in files.paths] == ["0.jpg", "1.jpg", "2.jpeg", "3.png", "4.bmp"] * 2
    assert files.labels.tolist() == [0] * 5 + [1] * 5


# The sizes ask for JPEGs at their full size, a half, a quarter and an eighth.
@pytest.mark.parametrize("size", [(192, 192), (105, 120), (60, 48), (24, 24)])
def test_pixels_are_those_of_pillow(directory, size):
    files = folders.list_images(directory, check=False)
    images, labels = arrays(folders.image_pipeline(files, size, batch_size=4, training=False))
    assert images.dtype == np.uint8
    assert labels.tolist() == files.labels.tolist()
    for path, image in zip(files.paths, images):
        difference = np.abs(image - pil(path, size))
        bound = 4 if size == (24, 24) else 2.5  # an eighth is made of means, and differs most
        assert difference.mean() < bound, path
        if not path.endswith(("jpg", "jpeg")):
            assert difference.max() <= 2, path


def test_crops_to_the_aspect(directory):
    files = folders.list_images(directory, check=False)
    data = folders.image_pipeline(files, (60, 60), batch_size=10, crop_to_aspect_ratio=True, training=False)
    images, _ = arrays(data)
    for path, image in zip(files.paths, images):
        box = (45, 0, 315, 270) if "cat" in path else (0, 105, 210, 315)
        assert np.abs(image - pil(path, (60, 60), box)).mean() < 4, path


def test_a_random_crop_is_decoded_as_it_would_be_cut_out(directory):
    files = folders.list_images(directory, check=False)
    files = folders.ImageFiles(files.paths[2:8:2], files.labels[2:8:2], files.class_names)  # JPEG, BMP, grey JPEG
    operations = [augment.RandomResizedCrop(48, scale=(0.3, 1)), augment.HorizontalFlip()]
    data = folders.image_pipeline(files, operations=operations, batch_size=3, seed=3, epochs=1, shuffle=False)
    images, _ = arrays(data)
    for index, path in enumerate(files.paths):
        whole = np.asarray(Image.open(path).convert("RGB"))[None]
        expected, _ = augment.transform(operations, whole, index=np.array([index], "int32"), seed=3)
        assert np.abs(images[index].astype("float32") - expected[0]).mean() < 2.5, path


def test_order_depends_on_seed_and_epoch_alone(directory):
    files = folders.list_images(directory, check=False)

    def epochs(seed, first, last):
        operations = [augment.HorizontalFlip()]
        data = folders.image_pipeline(
            files, 8, operations, batch_size=4, seed=seed, initial_epoch=first, epochs=last, label_mode="categorical"
        )
        assert data.steps_per_epoch == 3
        assert [len(images) for images, _ in data] == [4, 4, 2] * (last - first)
        return arrays(data)

    both = epochs(1, 0, 2)
    again = epochs(1, 1, 2)
    assert all((one[10:] == other).all() for one, other in zip(both, again))
    assert both[1].shape == (20, 2)
    assert (both[0][:10] != both[0][10:]).any()
    assert (epochs(2, 1, 2)[0] != again[0]).any()
    means = [np.sort(each.mean((1, 2, 3)).round(1)) for each in (both[0][:10], both[0][10:])]
    np.testing.assert_allclose(*means, atol=0.2)  # each epoch has every image once


def test_drops_the_remainder(directory):
    files = folders.list_images(directory, check=False)
    data = folders.image_pipeline(files, 8, batch_size=4, drop_remainder=True, epochs=2)
    assert [images.shape for images, _ in data] == [(4, 8, 8, 3)] * 4


def test_damaged_files_are_named(directory, tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "good.jpg").write_bytes((directory / name / "0.jpg").read_bytes())
    folders.list_images(tmp_path)
    (tmp_path / "cat" / "cut.jpg").write_bytes((directory / "cat" / "0.jpg").read_bytes()[:1500])
    (tmp_path / "cat" / "cut.png").write_bytes((directory / "cat" / "3.png").read_bytes()[:500])
    (tmp_path / "dog" / "notes.txt").write_text("no image")
    (tmp_path / "dog" / "empty.jpg").touch()
    with pytest.raises(ValueError, match="damaged, or neither") as error:
        folders.list_images(tmp_path)
    assert all(name in str(error.value) for name in ("cut.jpg", "cut.png", "notes.txt", "empty.jpg"))
    assert "good.jpg" not in str(error.value)


def test_refuses_folders_without_images(tmp_path):
    with pytest.raises(ValueError, match="one folder for each class"):
        folders.list_images(tmp_path / "absent")
    (tmp_path / "cat").mkdir()
    with pytest.raises(ValueError, match="holds no images"):
        folders.list_images(tmp_path)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({}, "`image_size` must be given"),
        ({"image_size": 0}, "image_size"),
        ({"image_size": 8, "batch_size": 0}, "batch_size"),
        ({"image_size": 8, "batch_size": 11, "drop_remainder": True}, "batch_size"),
        ({"image_size": 8, "epochs": 1, "initial_epoch": 1}, "epochs"),
        ({"image_size": 8, "label_mode": "binary"}, "label_mode"),
        ({"image_size": 8, "operations": [augment.PadCrop(9)]}, "reflect"),
        ({"image_size": 8, "seed": 0.5}, "seed"),
    ],
)
def test_refuses_bad_arguments(directory, arguments, message):
    files = folders.list_images(directory, check=False)
    with pytest.raises(ValueError, match=message):
        folders.image_pipeline(files, **{"batch_size": 4, **arguments})
