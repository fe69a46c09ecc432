"""Wrong calls of augmentations, and of what feeds them."""

import numpy as np

import augment

NAN, INF = float("nan"), float("inf")
IMAGES, LABELS = np.zeros((4, 8, 8, 3), "uint8"), np.arange(4)
BOXES = np.zeros((4, 2, 4), "float32")


def transformed(operations, images=IMAGES, labels=None, **options):
    return augment.transform(operations, images, labels, index=np.arange(len(images)), **options)


CASES = [
    ("augment.HorizontalFlip(2)", "`probability` must be a number from 0 to 1", "probability=2"),
    ("augment.HorizontalFlip('0.5')", "`probability` must be a number from 0 to 1", "'0.5'"),
    ("augment.VerticalFlip(NAN)", "`probability` must be a number from 0 to 1", "nan"),
    ("augment.Grayscale(-0.5)", "`probability` must be a number from 0 to 1", "-0.5"),
    ("augment.PadCrop(-1)", "`padding` must be an integer, at least 0", "padding=-1"),
    ("augment.PadCrop(4.0)", "`padding` must be an integer, at least 0", "padding=4.0"),
    ("augment.PadCrop(4, size=(32,))", "`size` must be an integer, at least 1, or a pair", "(32,)"),
    ("augment.PadCrop(4, mode='reflct')", "`mode` must be one of", "'reflct'", "Did you mean 'reflect'?"),
    ("augment.PadCrop(4, fill='black')", "`fill`", "'black'"),
    ("augment.PadCrop(4, fill=NAN)", "`fill`", "nan"),
    ("augment.CropPad(-2)", "`padding` must be", "-2"),
    ("augment.CenterCrop(0)", "`size` must be an integer, at least 1", "size=0"),
    ("augment.Resize('32')", "`size` must be an integer, at least 1", "'32'"),
    ("augment.RandomResizedCrop(8, scale=(1.0, 0.5))", "`scale` must be a pair (low, high)", "(1.0, 0.5)"),
    ("augment.RandomResizedCrop(8, scale=(0, 1))", "`scale`", "(0, 1)"),
    ("augment.RandomResizedCrop(8, ratio=1.0)", "`ratio` must be a pair", "1.0"),
    ("augment.RandomResizedCrop(8, scale=(NAN, 1))", "`scale` must be a pair", "nan"),
    ("augment.Cutout(0)", "`size` must be a positive integer", "size=0"),
    ("augment.Cutout(8, count=1.5)", "`count` must be a positive integer", "1.5"),
    ("augment.RandomErasing(area=(0.9, 2.0))", "`area` must be a pair", "(0.9, 2.0)"),
    ("augment.RandomErasing(aspect=(INF, INF))", "`aspect` must be a pair", "inf"),
    ("augment.Brightness(-0.5)", "`factor` must be a number, at least 0, or a pair", "-0.5"),
    ("augment.Contrast((0.5, 0.2))", "`factor` must be a number, at least 0, or a pair", "(0.5, 0.2)"),
    ("augment.Saturation(0.2, value_range=(255, 0))", "`value_range`", "(255, 0)"),
    ("augment.Hue(0.9)", "`shift`", "0.9"),
    ("augment.ColorJitter(hue='0.1')", "`hue`", "'0.1'"),
    ("augment.GaussianBlur(-1)", "`sigma`", "-1"),
    ("augment.Normalize(0.5, 0.5)", "`mean` must be a tuple", "0.5"),
    ("augment.Normalize((0.5,), (0.5, 0.5))", "`mean` and `std` must be as long"),
    ("augment.Normalize((0.5,), (0.0,))", "`std` must be positive", "(0.0,)"),
    ("augment.Normalize((NAN,), (1.0,))", "`mean`", "nan"),
    ("augment.Translation(1.5)", "`shift` as a float is a fraction of the side", "1.5"),
    ("augment.Translation(0.1, mode='mirror')", "`mode` must be one of", "'mirror'"),
    ("augment.Rotation('15')", "`degrees`", "'15'"),
    ("augment.Rotation(INF)", "`degrees`", "inf"),
    ("augment.ScaleJitter((0, 1))", "`scale`", "(0, 1)"),
    ("augment.Mixup(0)", "`alpha` must be a positive number", "alpha=0"),
    ("augment.Mixup(NAN)", "`alpha` must be a positive number", "nan"),
    ("augment.CutMix(1.0, per='batches')", "`per` must be one of", "Did you mean 'batch'?"),
    ("augment.OneOf(())", "at least one operation", "()"),
    ("augment.OneOf(augment.PadCrop, weights=(1,))", "`operations` must", "PadCrop"),
    ("augment.OneOf((augment.HorizontalFlip(),), weights=(0,))", "`weights` must be", "(0,)"),
    ("augment.OneOf((augment.HorizontalFlip(),), weights=(NAN,))", "`weights` must be", "nan"),
    ("augment.RandomApply(('flip',))", "instances of augment.Operation", "'flip'"),
    ("transformed([augment.RandomOrder((augment.Resize(4),))])", "makes images of another size", "Resize"),
    ("transformed(augment.PadCrop)", "`operations` must be a list", "PadCrop"),
    ("transformed(['flip'])", "instances of augment.Operation", "'flip'"),
    ("transformed([augment.Mixup()])", "Pass labels, too"),
    ("transformed([augment.Mixup()], labels=LABELS)", "needs one-hot or soft labels", "keras.ops.one_hot"),
    ("transformed([augment.PadCrop(9)])", "cannot reflect more than 7 pixels", "Use a smaller `padding`"),
    ("transformed([augment.Cutout(9)])", "does not fit into images of 8 x 8", "smaller `size`"),
    ("transformed([augment.Hue()], IMAGES[..., :2])", "images of 3 channels, or 1", "2 channels"),
    ("transformed([augment.Normalize((1.0, 1.0), (1.0, 1.0))])", "is for 2 channels", "3 channels"),
    ("transformed([augment.HorizontalFlip()], IMAGES[0])", "(batch, height, width, channels)", "(8, 8, 3)"),
    ("transformed([], seed=0.5)", "`seed` must be an integer", "seed=0.5"),
    ("transformed([], seed=2**64)", "`seed` must be an integer of at most 64 bits"),
    ("transformed([augment.HorizontalFlip()], boxes=BOXES[0])", "`boxes` must be (batch, count, 4)", "(2, 4)"),
    ("transformed([augment.Mixup()], labels=np.eye(4, dtype='float32'), boxes=BOXES)", "no meaning for boxes"),
    ("augment.ArrayGenerator(IMAGES[0], LABELS)", "`images` must be an array", "(8, 8, 3)"),
    ("augment.ArrayGenerator(IMAGES, LABELS[:3])", "must be as many", "4 and 3"),
    ("augment.ArrayGenerator(IMAGES, LABELS, batch_size=0)", "`batch_size` must be a positive integer", "0"),
    ("augment.ArrayGenerator(IMAGES[:0], LABELS[:0])", "0 images make no batch"),
    ("augment.ArrayGenerator(IMAGES, LABELS, batch_size=5, drop_remainder=True)", "4 images make no batch of 5"),
    ("augment.ArrayGenerator(IMAGES, LABELS, [3])", "`operations` must hold augment operations", "3"),
    ("augment.ArrayGenerator(IMAGES, LABELS, seed='0')", "`seed` must be an integer", "'0'"),
    ("augment.ArrayGenerator(None, LABELS)", "`images` must be an array", "None"),
    ("augment.MixupGenerator(IMAGES, LABELS, batch_size=2)", "one-hot", "(4,)"),
    ("augment.MixupGenerator(IMAGES, np.eye(4), batch_size=3)", "4 images make no batch of 6"),
    ("augment.MixupGenerator(IMAGES, np.eye(4), batch_size=2, alpha=-1)", "`alpha` must be a positive number", "-1"),
    ("augment.get_random_eraser(p=2)", "probability", "2"),
]
