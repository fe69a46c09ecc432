"""Batches of NumPy arrays: our operations, imgaug augmenters and plain callables, in any order."""

import collections
import concurrent.futures
import inspect
import threading

import keras
import numpy as np

from augment import draws
from augment.erasing import RandomErasing
from augment.mixing import Mixup
from augment.operation import Operation
from augment.operation import transform
from augment.operation import try_operations


class EpochGenerator(keras.utils.PyDataset):
    """Batches that are a pure function of (seed, epoch, step); a base for generators.

    Threads make the next batches while the model trains on this one. Subclasses define
    `load(epoch, index)`. Pass `shuffle=False` to `fit`: it would shuffle the batches once more, by
    Python's own random numbers. The epoch advances after each pass. As Keras looks at some batches
    before it trains, a data set of few batches may seem to have been passed by then; with
    `keras.callbacks.LambdaCallback(on_epoch_begin=data.set_epoch)` the epochs are always `fit`'s own.

    Args:
        samples: int. How many there are.
        batch_size: int. How many make a batch.
        seed: int. Defaults to 0.
        shuffle: bool. Defaults to True.
        drop_remainder: bool. Defaults to False.
        workers: int. Threads that make batches ahead; 0 makes each when it is asked for. Defaults to 1.

    Example:

    >>> class Index(EpochGenerator):
    ...     def load(self, epoch, index):
    ...         return index
    >>> data = Index(samples=4, batch_size=2, shuffle=False)
    >>> len(data), data[1]
    (2, array([2, 3], dtype=int32))
    """

    def __init__(self, samples, batch_size, seed=0, shuffle=True, drop_remainder=False, workers=1):
        super().__init__()  # Keras's own workers lose or repeat batches when `fit` peeks at the data
        draws.check_seed(seed)
        self.samples = samples
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.epoch = 0
        self._steps = samples // batch_size if drop_remainder else -(-samples // batch_size)
        self._served = set()
        self._counts_epochs = True
        self._ahead, self._lock = collections.OrderedDict(), threading.Lock()
        self._threads = concurrent.futures.ThreadPoolExecutor(workers) if workers else None
        self._workers_ahead = workers
        self._order = (None, None)

    def load(self, epoch, index):
        """Make one batch.

        Args:
            epoch: int.
            index: int32 `(batch,)`. Positions of its samples in the data set.

        Returns:
            What `fit` takes: `(images, labels)`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define `load`.")

    def order(self, epoch):
        """The order in which an epoch visits the samples.

        Args:
            epoch: int.

        Returns:
            int32 `(samples,)`.
        """
        known, order = self._order
        if known != epoch:
            index = np.arange(self.samples, dtype="int32")
            order = draws.permutation(self.seed, epoch, index) if self.shuffle else index
            self._order = (epoch, order)
        return order

    def positions(self, epoch, step):
        """Which samples a batch is made of.

        Args:
            epoch: int.
            step: int. From 0.

        Returns:
            int32 array: their positions in the data set.
        """
        return self.order(epoch)[step * self.batch_size : (step + 1) * self.batch_size]

    @property
    def num_batches(self):
        return self._steps

    def __len__(self):
        return self._steps

    def __getitem__(self, step):
        if not 0 <= step < self._steps:
            raise IndexError(f"There are {self._steps} batches. Received: {step}")
        self._served.add(step)
        if not self._threads:
            return self._load_step(self.epoch, step)
        wanted = [(self.epoch, later) for later in range(step, min(step + 1 + self._workers_ahead, self._steps))]
        with self._lock:  # a pass that was broken off may still be looking ahead when the next one has begun
            for key in wanted:
                if key not in self._ahead:
                    self._ahead[key] = self._threads.submit(self._load_step, *key)
            for key in [key for key in self._ahead if key not in wanted]:
                self._ahead.pop(key).cancel()
            batch = self._ahead[wanted[0]]
        try:
            return batch.result()
        except concurrent.futures.CancelledError:
            return self._load_step(*wanted[0])

    def _load_step(self, epoch, step):
        return self.load(epoch, self.positions(epoch, step))

    def set_epoch(self, epoch, logs=None):
        """Say which epoch comes next; from then on only this does.

        Args:
            epoch: int.
            logs: ignored, so that this can be the `on_epoch_begin` of a `LambdaCallback`. Defaults to None.
        """
        self.epoch = epoch
        self._counts_epochs = False

    def on_epoch_begin(self):
        self._served.clear()

    def on_epoch_end(self):
        # Keras also calls this after it has only peeked at some batches: a pass has served them all.
        if self._counts_epochs:
            self.epoch += len(self._served) == self._steps
        self._served.clear()


class ArrayGenerator(EpochGenerator):
    """Shuffle, batch and augment arrays with NumPy, for any backend.

    Besides our operations it takes any imgaug augmenter, and any function of one image. imgaug is
    seeded for each sample; a function that has an argument `rng` is given a NumPy generator that
    belongs to the sample; so both are as reproducible as our operations.

    Args:
        images: array `(samples, height, width, channels)`, uint8 or float.
        labels: array `(samples, ...)`, or None. Defaults to None.
        operations: list of `Operation`, imgaug augmenters, or callables `image -> image` or
            `(image, rng) -> image`, applied in this order. Defaults to none.
        boxes: array `(samples, count, 4)`, as `augment.boxes` describes them, or None: then batches are
            `(images, targets)`, where targets is a dict of "boxes" and, if given, "labels". Functions
            and imgaug leave boxes where they are. Defaults to None.
        batch_size: int. Defaults to 32.
        seed: int. Defaults to 0.
        shuffle: bool. Outside training always False. Defaults to True.
        drop_remainder: bool. Whether to leave out a last batch that is smaller. Defaults to False.
        training: bool. False gives the images in order, with nothing random. Defaults to True.
        workers: int. Threads that make batches ahead. Defaults to 1.

    Raises:
        ValueError: for arrays of different lengths, a batch size that leaves no batch, a seed that
            is none, or an operation that is none of the three kinds.

    Example:

    >>> import augment
    >>> images, labels = np.zeros((10, 32, 32, 3), "uint8"), np.arange(10)
    >>> brighter = lambda image, rng: image + rng.integers(0, 9, dtype="uint8")
    >>> data = ArrayGenerator(images, labels, [augment.PadCrop(4), brighter], batch_size=4)
    >>> data[0][0].shape
    (4, 32, 32, 3)
    """

    def __init__(
        self,
        images,
        labels=None,
        operations=(),
        *,
        boxes=None,
        batch_size=32,
        seed=0,
        shuffle=True,
        drop_remainder=False,
        training=True,
        workers=1,
    ):
        check_arrays(images, labels, batch_size, drop_remainder, boxes=boxes)
        self.images = images
        self.labels = labels
        self.boxes = boxes
        self.training = training
        self.operations = _as_operations(operations)
        draws.check_seed(seed)
        try_operations(self.operations, images, labels, boxes)
        super().__init__(len(images), batch_size, seed, shuffle and training, drop_remainder, workers)

    def operations_of(self, epoch):
        """The operations of an epoch: the same for all, unless a subclass says otherwise.

        Args:
            epoch: int.

        Returns:
            list of operations.
        """
        return self.operations

    def load(self, epoch, index):
        batch = (None if each is None else each[index] for each in (self.images, self.labels, self.boxes))
        batch = transform(
            self.operations_of(epoch), *batch, index=index, seed=self.seed, epoch=epoch, training=self.training
        )
        batch = as_batch(*batch)
        return batch if isinstance(batch, tuple) else (batch,)


class MixupGenerator(EpochGenerator):
    """Mixup of two disjoint halves of each drawn batch, as the generator of experiment 001 does it.

    Each batch takes `2 * batch_size` samples and blends the first half with the second, with a
    weight for each image. An epoch therefore has half as many batches as samples would make.

    Args:
        X_train: array `(samples, height, width, channels)`.
        y_train: array `(samples, classes)`, one-hot or soft, or a list of such arrays.
        batch_size: int. Defaults to 512.
        alpha: float > 0. Of Beta(alpha, alpha). Defaults to 0.2.
        shuffle: bool. Defaults to True.
        datagen: applied to each blended image: an object with `random_transform` and `standardize`,
            as Keras's former ImageDataGenerator; or what `ArrayGenerator` takes as operations.
            Defaults to None.
        seed: int. Defaults to 0.

    Raises:
        ValueError: for fewer than `2 * batch_size` samples, labels that are not one-hot or as many,
            or an `alpha` that is not positive.

    Example:

    >>> images, labels = np.zeros((8, 4, 4, 3), "float32"), np.eye(2, dtype="float32")[[0, 1] * 4]
    >>> data = MixupGenerator(images, labels, batch_size=2)
    >>> len(data), next(data())[1].shape
    (2, (2, 2))

    Reference:
        https://github.com/yu4u/mixup-generator
    """

    def __init__(self, X_train, y_train, batch_size=512, alpha=0.2, shuffle=True, datagen=None, seed=0):
        self.images = np.asarray(X_train)
        self.labels = [np.asarray(labels) for labels in (y_train if isinstance(y_train, list) else [y_train])]
        for labels in self.labels:
            if labels.ndim < 2:
                raise ValueError(f"`y_train` must be one-hot, (samples, classes). Received: shape={labels.shape}")
            check_arrays(self.images, labels, batch_size, drop_remainder=True, times=2)
        self.several_labels = isinstance(y_train, list)
        self.mixup = Mixup(alpha)
        self.datagen = datagen
        self.transforms = [] if datagen is None or _is_datagen(datagen) else _as_operations(datagen)
        super().__init__(len(self.images), 2 * batch_size, seed, shuffle, drop_remainder=True)

    def __call__(self):
        """Yield batches without end, as a Python generator.

        Returns:
            A generator of `(images, labels)`.
        """
        epoch = 0
        while True:
            for step in range(len(self)):
                yield self._load_step(epoch, step)
            epoch += 1

    def load(self, epoch, index):
        first, second = np.split(index, 2)
        weight = draws.Stream(self.seed, epoch, first, draws.MIXUP_GENERATOR).beta(self.mixup.alpha)
        images = _blend(self.images[first], self.images[second], weight)
        labels = [_blend(labels[first], labels[second], weight) for labels in self.labels]
        if _is_datagen(self.datagen):
            images = np.stack([self.datagen.standardize(self.datagen.random_transform(image)) for image in images])
        images, _ = transform(self.transforms, images, index=first, seed=self.seed, epoch=epoch)
        return images, (labels if self.several_labels else labels[0])


def get_random_eraser(p=0.5, s_l=0.02, s_h=0.4, r_1=0.3, r_2=1 / 0.3, v_l=0, v_h=255, pixel_level=True, seed=None):
    """Random erasing of one image, under the names of experiment 001.

    Args:
        p: float in [0, 1]. Probability. Defaults to 0.5.
        s_l: float. Smallest area, as a fraction of the image's. Defaults to 0.02.
        s_h: float. Largest area. Defaults to 0.4.
        r_1: float. Smallest height over width. Defaults to 0.3.
        r_2: float. Largest. Defaults to 1 / 0.3.
        v_l: float, in the units of the pixels. Smallest value. Defaults to 0.
        v_h: float. Largest value. Defaults to 255.
        pixel_level: bool. A value for each pixel and channel, or one for the rectangle. Defaults to True.
        seed: int, or None for a fresh one. Of the calls that give no `rng`. Defaults to None.

    Returns:
        A function `(image, rng=None) -> image` for `(height, width, channels)`. It leaves its
        argument as it is and returns a copy.

    Raises:
        ValueError: as `RandomErasing`.

    Example:

    >>> eraser = get_random_eraser(p=1.0, v_h=1, seed=1)
    >>> eraser(np.full((8, 8, 3), 9.0)).min() < 1
    np.True_

    Reference:
        https://github.com/yu4u/cutout-random-erasing
    """
    operation = RandomErasing(p, (s_l, s_h), (r_1, r_2), (v_l, v_h), pixel_level)
    own = np.random.default_rng(seed)
    index = np.zeros(1, "int32")

    def eraser(image, rng=None):
        draw = int((rng or own).integers(2**63))
        return transform([operation], image[None], index=index, seed=draw)[0][0]

    return eraser


def as_batch(images, labels, boxes=None):
    """A batch in the form that `fit` takes.

    Args:
        images: `(batch, height, width, channels)`.
        labels: `(batch, ...)`, or None.
        boxes: `(batch, count, 4)`, or None. Defaults to None.

    Returns:
        `images`, `(images, labels)`, or `(images, {"boxes": boxes, "labels": labels})`.

    Example:

    >>> sorted(as_batch("images", "labels", "boxes")[1])
    ['boxes', 'labels']
    """
    if boxes is not None:
        return images, {"boxes": boxes} if labels is None else {"boxes": boxes, "labels": labels}
    return images if labels is None else (images, labels)


def check_arrays(images, labels, batch_size, drop_remainder, times=1, boxes=None):
    """Refuse arrays that make no batches.

    Args:
        images: array `(samples, height, width, channels)`.
        labels: array `(samples, ...)`, or None.
        batch_size: int.
        drop_remainder: bool.
        times: int. How many samples make one of a batch. Defaults to 1.
        boxes: array `(samples, count, 4)`, or None. Defaults to None.

    Returns:
        int. Batches in an epoch.

    Raises:
        ValueError: for images that are not of rank 4, arrays of different lengths, or a batch size
            that leaves no batch.

    Example:

    >>> check_arrays(np.zeros((10, 8, 8, 3)), np.zeros(10), batch_size=4, drop_remainder=False)
    3
    """
    if getattr(images, "ndim", None) != 4:
        received = getattr(images, "shape", type(images).__name__)
        raise ValueError(f"`images` must be an array (samples, height, width, channels). Received: {received}")
    for name, each in (("labels", labels), ("boxes", boxes)):
        if each is not None and len(each) != len(images):
            raise ValueError(f"`images` and `{name}` must be as many. Received: {len(images)} and {len(each)}")
    if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1:
        raise ValueError(f"`batch_size` must be a positive integer. Received: batch_size={batch_size!r}")
    needed = times * batch_size
    steps = len(images) // needed if drop_remainder else -(-len(images) // needed)
    if steps == 0:
        raise ValueError(f"{len(images)} images make no batch of {needed}. Use a smaller `batch_size`.")
    return steps


class _PerImage(Operation):
    """A function of one image among the operations: `change(image, words)`, with 64 random bits."""

    def __init__(self, change):
        self.change = change

    def draw(self, stream, image_shape):
        return {"words": stream.words(2)}

    def apply(self, images, choice):
        return np.stack([self.change(image, words) for image, words in zip(images, choice["words"])])


def _as_operation(operation):
    if isinstance(operation, Operation):
        return operation
    if hasattr(operation, "augment_image") and hasattr(operation, "seed_"):
        return _PerImage(_imgaug(operation))
    if callable(operation):
        return _PerImage(_function(operation))
    raise ValueError(
        "`operations` must hold augment operations, imgaug augmenters, or functions of one image. "
        f"Received: {operation!r}"
    )


def _imgaug(augmenter):
    lock = threading.Lock()  # an augmenter is one object with one state

    def change(image, words):
        with lock:
            augmenter.seed_(int(words[0] & 0x7FFFFFFF))
            return augmenter.augment_image(image)

    return change


def _function(function):
    if "rng" not in inspect.signature(function).parameters:
        return lambda image, words: function(image)
    return lambda image, words: function(image, rng=np.random.default_rng(words.view("uint32")))


def _is_datagen(datagen):
    return hasattr(datagen, "random_transform") and hasattr(datagen, "standardize")


def _as_operations(operations):
    return [_as_operation(each) for each in (operations if isinstance(operations, (list, tuple)) else [operations])]


def _blend(first, second, weight):
    weight = weight.reshape((-1,) + (1,) * (first.ndim - 1))
    return (first * weight + second * (1 - weight)).astype("float32")
