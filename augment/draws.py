"""Random numbers as a pure function of (seed, epoch, sample, operation), the same in every library.

Each number is an output of Threefry-2x32 with 20 rounds, the counter-based generator that JAX
uses too: no state, so neither the order nor the parallelism of the work can change a draw.

Reference:
    Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011.
    https://doi.org/10.1145/2063384.2063405
"""

import functools
import math

import numpy as np

from augment import arrays

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA  # SKEIN_KS_PARITY32, from the reference implementation
# Streams beside those of operations, which are numbered by their place: no pipeline has so many.
_ORDER = 0x7FFFFFFF
MIXUP_GENERATOR = 0x7FFFFFFE
_ALL_EPOCHS = -1  # stands where an epoch does


class Stream:
    """The random numbers of one operation, for the samples of one batch.

    Args:
        seed: int, up to 64 bits.
        epoch: int or scalar int32 tensor.
        index: int32 array or tensor `(batch,)`, the position of each sample in its data set.
        operation: int. Position of the operation in its pipeline.

    Example:

    >>> stream = Stream(seed=1, epoch=0, index=np.arange(3, dtype="int32"))
    >>> stream.integers(9).shape
    (3, 1)
    """

    def __init__(self, seed, epoch, index, operation=0):
        self._xp = arrays.namespace(index)
        self._given = seed, epoch, index, operation
        self._blocks = 0
        self._spare = None

    @functools.cached_property
    def _index(self):
        return self._xp.cast(self._given[2], "int32")

    @functools.cached_property
    def _key(self):
        seed, epoch, _, operation = self._given
        zero = self._index * 0
        return threefry(_split(seed), (zero + epoch, zero + operation))

    @property
    def epoch(self):
        """The epoch, for each sample: int32 `(batch, 1)`."""
        return (self._index * 0 + self._given[1])[:, None]

    def of_all_epochs(self):
        """The stream of the same operation that does not depend on the epoch, for what is drawn once.

        Returns:
            A `Stream`.
        """
        seed, _, index, operation = self._given
        return Stream(seed, _ALL_EPOCHS, index, operation)

    def words(self, count=1):
        """Draw 32 random bits, `count` times for each sample.

        Args:
            count: int.

        Returns:
            int32 `(batch, count)`.
        """
        xp, parts = self._xp, [] if self._spare is None else [self._spare]
        blocks, self._spare = (count - len(parts) + 1) // 2, None
        if blocks:
            number = xp.arange(blocks, dtype="int32")[None, :] + self._blocks + self._index[:, None] * 0
            self._blocks += blocks
            key = tuple(word[:, None] for word in self._key)
            parts += threefry(key, (self._index[:, None] + number * 0, number))
        words = xp.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]
        if words.shape[1] > count:  # hashes come in pairs: keep one for the next call
            self._spare = words[:, count:]
        return words[:, :count]

    def uniform(self, low=0.0, high=1.0, count=1):
        """Draw floats from [low, high).

        Args:
            low: float.
            high: float.
            count: int. Numbers for each sample.

        Returns:
            float32 `(batch, count)`.
        """
        return _to_unit(self._xp, self.words(count)) * (high - low) + low

    def pairs(self, count=1):
        """Draw floats from [0, 1), two from each word and so of 16 bits: for proposals, of which there are many.

        Args:
            count: int. Pairs for each sample.

        Returns:
            Two arrays, each float32 `(batch, count)`.
        """
        xp, words = self._xp, self.words(count)
        return tuple(xp.cast(part & 0xFFFF, "float32") * 2.0**-16 for part in (words, xp.right_shift(words, 16)))

    def integers(self, stop, count=1):
        """Draw integers from 0, 1, ..., `stop` - 1, equally likely.

        Args:
            stop: int, or int32 tensor that broadcasts to `(batch, count)`. At most 2**20, so that
                no integer is likelier than another by more than one part in 16.
            count: int. Numbers for each sample.

        Returns:
            int32 `(batch, count)`.
        """
        return below(self.uniform(count=count), stop)

    def chance(self, probability):
        """Draw yes or no.

        Args:
            probability: float in [0, 1].

        Returns:
            bool `(batch, 1)`.
        """
        return self.uniform() < probability

    def switch(self, probability):
        """Draw 1 or 0, to multiply with.

        Args:
            probability: float in [0, 1]. Of 1.

        Returns:
            float32 `(batch, 1)`.
        """
        return self._xp.cast(self.chance(probability), "float32")

    def beta(self, alpha):
        """Draw from the symmetric distribution Beta(alpha, alpha).

        Bailey's one-line generator of Student's t, carried over to the beta distribution: exact,
        without rejection, for every positive alpha.

        Args:
            alpha: float > 0.

        Returns:
            float32 `(batch, 1)` in [0, 1].

        Reference:
            Devroye, "Random variate generation in one line of code", 1996.
            https://doi.org/10.1145/256562.256623
        """
        xp = self._xp
        numbers = self.uniform(count=2)
        radius, angle = 1 - numbers[:, :1], numbers[:, 1:]
        cosine = xp.cos(2 * math.pi * angle)
        # radius ** (-1 / alpha) overflows for small alpha: the sample is then 0 or 1, as it should be
        exponent = xp.minimum(-xp.log(radius) / alpha, 80.0)
        spread = (xp.exp(exponent) - 1) * cosine * cosine
        return 0.5 + 0.5 * xp.sign(cosine) * xp.sqrt(spread / (1 + spread))


def threefry(key, counter):
    """Hash a counter under a key: Threefry-2x32, 20 rounds.

    Args:
        key: two int32 arrays (or Python ints below 2**31 in size), 64 bits in all.
        counter: two int32 arrays or tensors of one shape.

    Returns:
        Two int32 arrays of the counter's shape: 64 random bits for each entry.

    Example:

    >>> zero = np.zeros(1, "int32")
    >>> [hex(word.view("uint32").item()) for word in threefry((0, 0), (zero, zero))]
    ['0x6b200159', '0x99ba4efe']
    """
    if type(counter[0]).__module__.startswith("jax"):
        return _threefry_jax(key, counter)
    if arrays.is_torch_on_cpu(counter[0]):
        return _threefry_torch(key, counter)
    xp = arrays.namespace(counter[0])
    parity = xp.cast(counter[0] * 0 + _PARITY, "int32")
    keys = (key[0], key[1], parity ^ key[0] ^ key[1])
    left, right = counter[0] + keys[0], counter[1] + keys[1]
    for group in range(5):
        for distance in _ROTATIONS[group % 2]:
            left = left + right
            right = left ^ _rotate_left(xp, right, distance)
        left = left + keys[(group + 1) % 3]
        right = right + keys[(group + 2) % 3] + (group + 1)
    return left, right


def halves(key, counter, count):
    """Uniform random numbers of 16 bits: half a word each, for noise.

    Args:
        key: two int32 arrays.
        counter: int32 array of their shape.
        count: int. Numbers for each counter.

    Returns:
        float32, of the counter's shape and `count`, in [0, 1).

    Example:

    >>> halves((np.array([1]), np.array([2])), np.array([3]), count=3).shape
    (1, 3)
    """
    xp = arrays.namespace(counter)
    words = []
    for block in range(-(-count // 4)):
        words += threefry(key, (counter, counter * 0 + block))
    parts = [part for word in words for part in (word & 0xFFFF, xp.right_shift(word, 16) & 0xFFFF)]
    return xp.cast(xp.stack(parts[:count], axis=-1), "float32") * 2.0**-16


def permutation(seed, epoch, index):
    """Shuffle: the order in which an epoch visits the samples.

    Args:
        seed: int, up to 64 bits.
        epoch: int or scalar int32 tensor.
        index: int32 array or tensor `(samples,)`, the numbers from 0 to samples - 1. Its library
            is the one that computes.

    Returns:
        int32 `(samples,)`: the numbers of `index` in random order.

    Example:

    >>> permutation(0, 0, np.arange(8, dtype="int32")).tolist()
    [2, 1, 4, 5, 7, 6, 3, 0]
    """
    order = Stream(seed, epoch, index, operation=_ORDER).words()[:, 0]
    return arrays.namespace(index).cast(arrays.namespace(index).argsort(order), "int32")


def below(numbers, stop):
    """Make integers from 0, 1, ..., `stop` - 1 of random numbers.

    Args:
        numbers: float32 array or tensor in [0, 1).
        stop: int, or int32 tensor that broadcasts to the numbers' shape. At most 2**20, so that no
            integer is likelier than another by more than one part in 16.

    Returns:
        int32, of the numbers' shape.

    Example:

    >>> below(np.array([0.0, 0.4, 0.9], "float32"), 5)
    array([0, 2, 4], dtype=int32)
    """
    xp = arrays.namespace(numbers)
    integers = xp.cast(xp.floor(numbers * xp.cast(stop, "float32")), "int32")
    return xp.minimum(integers, stop - 1)  # a product may round up to `stop`


def first_accepted(proposals, accepted, otherwise=None):
    """Of several proposals for each sample, take the first that is accepted.

    Args:
        proposals: dict of name to int32 `(batch, count)`.
        accepted: bool `(batch, count)`.
        otherwise: dict of name to integer, for samples of which none is accepted. Defaults to zeros.

    Returns:
        dict of name to int32 `(batch, 1)`.

    Example:

    >>> first_accepted({"top": np.array([[5, 6, 7], [5, 6, 7]])}, np.array([[False, True, True], [False] * 3]))
    {'top': array([[6],
           [0]], dtype=int32)}
    """
    xp = arrays.namespace(accepted)
    first = xp.cast(accepted & (xp.cumsum(xp.cast(accepted, "int32"), axis=1) == 1), "int32")
    none = 1 - xp.cast(xp.sum(first, axis=1), "int32")[:, None]
    return {
        name: xp.cast(xp.sum(values * first, axis=1), "int32")[:, None] + none * (otherwise[name] if otherwise else 0)
        for name, values in proposals.items()
    }


def check_seed(seed):
    """Refuse what is no 64-bit integer.

    Args:
        seed: any value.

    Raises:
        ValueError: if `seed` is no integer, or needs more than 64 bits.

    Example:

    >>> check_seed(2**63)
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not -(2**63) <= seed < 2**64:
        raise ValueError(f"`seed` must be an integer of at most 64 bits. Received: seed={seed!r}")


def _threefry_jax(key, counter):
    """The same as one operation of JAX, which XLA does not compute again for every pixel."""
    import jax
    from jax.extend.random import threefry2x32_p

    words = jax.numpy.broadcast_arrays(*(jax.numpy.asarray(word, "int32") for word in (*key, *counter)))
    pair = threefry2x32_p.bind(*(jax.lax.bitcast_convert_type(word, "uint32") for word in words))
    return tuple(jax.lax.bitcast_convert_type(word, "int32") for word in pair)


def _threefry_torch(key, counter):
    """The same in NumPy: torch on a CPU takes ten times as long for hundreds of operations on few numbers."""
    import torch

    words = [np.atleast_1d(np.asarray(word, "int32")) for word in (*key, *counter)]
    shape = counter[0].shape
    return tuple(torch.from_numpy(word.reshape(shape)) for word in threefry(words[:2], words[2:]))


def _split(seed):
    """The two 32-bit halves of a seed, as signed numbers."""
    seed = int(seed)  # NumPy's own integers overflow
    halves = np.array([seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF], "uint32").view("int32")
    return int(halves[0]), int(halves[1])


def _to_unit(xp, words):
    """The upper 24 bits of each word as a float32 in [0, 1)."""
    upper = xp.right_shift(words, 8) + 2**23  # the shift keeps the sign: from [-2**23, 2**23)
    return xp.cast(upper, "float32") * 2.0**-24


def _rotate_left(xp, words, distance):
    upper = xp.left_shift(words, distance)
    # int32 shifts copy the sign bit to the right: mask it off
    return upper | (xp.right_shift(words, 32 - distance) & ((1 << distance) - 1))
