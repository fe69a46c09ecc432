"""Random numbers: published vectors, distributions, and the same bits in every library."""

import itertools

import keras
import numpy as np
import pytest
import scipy.stats

from augment import draws

# From the reference implementation, Random123: tests/kat_vectors, threefry2x32 with 20 rounds.
KNOWN_ANSWERS = (
    ((0x00000000, 0x00000000), (0x00000000, 0x00000000), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
)
LIBRARIES = {
    "numpy": np.asarray,
    "keras": keras.ops.convert_to_tensor,
    "tensorflow": lambda array: pytest.importorskip("tensorflow").convert_to_tensor(array),
}
LIKELY = 1e-4  # the seeds are fixed: a test of this level passes always or never
LARGEST_WORD, SMALLEST_WORD = 2**31 - 1, -(2**31)


def stream(seed=1, epoch=0, samples=4, operation=0):
    return draws.Stream(seed, epoch, np.arange(samples, dtype="int32"), operation)


def signed(words):
    return [np.array([word], "uint32").view("int32") for word in words]


def unsigned(words):
    return [int(np.asarray(word).view("uint32")[0]) for word in words]


def to_numpy(array):
    return array.numpy() if type(array).__module__.startswith("tensorflow") else keras.ops.convert_to_numpy(array)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(("key", "counter", "answer"), KNOWN_ANSWERS)
def test_threefry_gives_the_published_answers(key, counter, answer, library):
    tensors = [tuple(LIBRARIES[library](word) for word in signed(words)) for words in (key, counter)]
    assert tuple(unsigned(map(to_numpy, draws.threefry(*tensors)))) == answer


@pytest.mark.parametrize(("key", "counter", "answer"), KNOWN_ANSWERS)
def test_threefry_takes_a_key_of_python_integers(key, counter, answer):
    key = tuple(int(word[0]) for word in signed(key))
    assert tuple(unsigned(draws.threefry(key, signed(counter)))) == answer


@pytest.mark.parametrize("seed", [1, -1, 2**63 + 12345])
@pytest.mark.parametrize("library", ["keras", "tensorflow"])
def test_every_library_gives_the_same_numbers(library, seed):
    index = np.arange(50, dtype="int32")
    tensor = LIBRARIES[library](index)
    ours, theirs = draws.Stream(seed, 7, index, 3), draws.Stream(seed, 7, tensor, 3)
    for _ in range(2):
        assert np.array_equal(ours.words(5), to_numpy(theirs.words(5)))
        assert np.array_equal(ours.uniform(-1.0, 3.0, 4), to_numpy(theirs.uniform(-1.0, 3.0, 4)))
        assert np.array_equal(ours.integers(9, 3), to_numpy(theirs.integers(9, 3)))
        assert np.array_equal(ours.chance(0.3), to_numpy(theirs.chance(0.3)))
        assert np.array_equal(ours.switch(0.3), to_numpy(theirs.switch(0.3)))
    np.testing.assert_allclose(ours.beta(0.3), to_numpy(theirs.beta(0.3)), atol=1e-5)
    assert np.array_equal(draws.permutation(seed, 7, index), to_numpy(draws.permutation(seed, 7, tensor)))


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_epoch_as_a_tensor_gives_the_same_numbers(library):
    convert = LIBRARIES[library]
    index = np.arange(5, dtype="int32")
    tensors = draws.Stream(1, convert(np.array(6, "int32")), convert(index))
    assert np.array_equal(to_numpy(tensors.words(3)), draws.Stream(1, 6, index).words(3))


@pytest.mark.parametrize("library", LIBRARIES)
def test_numbers_of_all_epochs_do_not_depend_on_the_epoch(library):
    convert = LIBRARIES[library]
    words = stream(epoch=0).of_all_epochs().words(3)
    for epoch in (0, 6):
        tensors = draws.Stream(1, convert(np.array(epoch, "int32")), convert(np.arange(4, dtype="int32")))
        assert to_numpy(tensors.epoch).tolist() == [[epoch]] * 4
        assert np.array_equal(to_numpy(tensors.of_all_epochs().words(3)), words)
        assert not np.isin(words, to_numpy(tensors.words(3))).any()
    assert not np.isin(words, stream(operation=1).of_all_epochs().words(3)).any()


def test_words_have_all_bits_random():
    words = stream(samples=20_000).words(3).view("uint32")
    for bit in range(32):
        ones = int(((words >> bit) & 1).sum())
        assert scipy.stats.binomtest(ones, words.size).pvalue > LIKELY, bit


def test_uniform_is_uniform():
    numbers = stream(samples=20_000).uniform(count=3)
    assert numbers.dtype == np.float32
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert scipy.stats.kstest(numbers.ravel(), "uniform").pvalue > LIKELY


def test_uniform_fills_its_range():
    numbers = stream(samples=20_000).uniform(-3.0, 5.0).ravel()
    assert scipy.stats.kstest(numbers, scipy.stats.uniform(-3, 8).cdf).pvalue > LIKELY


@pytest.mark.parametrize(("word", "number"), [(SMALLEST_WORD, 0.0), (0, 0.5), (LARGEST_WORD, 1 - 2.0**-24)])
def test_uniform_includes_zero_and_excludes_one(word, number, monkeypatch):
    extreme = stream()
    monkeypatch.setattr(extreme, "words", lambda count: np.full((4, count), word, "int32"))
    assert (extreme.uniform(count=2) == np.float32(number)).all()


@pytest.mark.parametrize("stop", [1, 2, 3, 7, 1000, 2**20 - 1, 2**20])
@pytest.mark.parametrize("library", LIBRARIES)
def test_the_largest_word_gives_the_largest_integer(stop, library, monkeypatch):
    extreme = draws.Stream(0, 0, LIBRARIES[library](np.arange(4, dtype="int32")))
    for word, number in ((LARGEST_WORD, stop - 1), (SMALLEST_WORD, 0)):
        words = LIBRARIES[library](np.full((4, 1), word, "int32"))
        monkeypatch.setattr(extreme, "words", lambda count, words=words: words)
        assert (to_numpy(extreme.integers(stop)) == number).all()


@pytest.mark.parametrize("stop", [2, 3, 9, 100])
def test_integers_are_equally_likely(stop):
    numbers = stream(samples=20_000).integers(stop, count=2)
    assert numbers.dtype == np.int32
    counts = np.bincount(numbers.ravel(), minlength=stop)
    assert len(counts) == stop
    assert scipy.stats.chisquare(counts).pvalue > LIKELY


def test_integers_take_a_stop_for_each_sample():
    stops = np.array([[1], [2], [5], [50]], "int32")
    numbers = stream().integers(stops, count=500)
    assert (numbers.max(axis=1) == stops[:, 0] - 1).all()
    assert (numbers.min(axis=1) == 0).all()


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.5, 1.0])
def test_chance_and_switch_have_the_probability(probability):
    yes, ones = stream(samples=20_000).chance(probability), stream(samples=20_000).switch(probability)
    assert np.array_equal(yes, ones == 1)
    assert set(np.unique(ones)) <= {0.0, 1.0}
    assert scipy.stats.binomtest(int(yes.sum()), 20_000, probability).pvalue > LIKELY


@pytest.mark.parametrize("alpha", [0.1, 0.2, 1.0, 4.0])
def test_beta_follows_its_distribution(alpha):
    numbers = stream(samples=50_000).beta(alpha).ravel()
    expected = scipy.stats.beta(alpha, alpha)
    # Kolmogorov-Smirnov on a grid inside (0, 1): float32 ends 6e-8 before 1, and much of Beta(0.1) lies beyond.
    ends = expected.cdf([1e-5, 1 - 1e-5])
    grid = expected.ppf(np.linspace(*ends, 2001))
    reached = np.searchsorted(np.sort(numbers), grid, side="right") / len(numbers)
    distance = np.abs(reached - expected.cdf(grid)).max()
    assert scipy.stats.kstwobign.sf(distance * np.sqrt(len(numbers))) > LIKELY


@pytest.mark.parametrize("alpha", [0.1, 0.2, 1.0, 4.0])
def test_beta_has_the_moments(alpha):
    numbers = stream(seed=2, samples=50_000).beta(alpha).astype("float64")
    expected = scipy.stats.beta(alpha, alpha)
    for power in (1, 2, 3):
        spread = np.sqrt((expected.moment(2 * power) - expected.moment(power) ** 2) / len(numbers))
        assert abs((numbers**power).mean() - expected.moment(power)) < 4 * spread


@pytest.mark.parametrize("alpha", [1e-3, 1e-2, 100.0, 1e4])
@pytest.mark.parametrize("library", LIBRARIES)
def test_beta_stays_in_its_range_for_any_alpha(alpha, library):
    index = LIBRARIES[library](np.arange(5_000, dtype="int32"))
    numbers = to_numpy(draws.Stream(3, 0, index).beta(alpha))
    assert numbers.min() >= 0
    assert numbers.max() <= 1
    assert abs(numbers.mean() - 0.5) < 4 * scipy.stats.beta(alpha, alpha).std() / np.sqrt(5_000)


def test_numbers_of_a_sample_do_not_depend_on_its_batch():
    few = draws.Stream(1, 0, np.array([7, 2], "int32"))
    assert np.array_equal(few.words(3), stream(samples=10).words(3)[[7, 2]])


@pytest.mark.parametrize(
    "change",
    [{"seed": 2}, {"seed": 1 + 2**32}, {"seed": -1}, {"epoch": 1}, {"operation": 1}],
    ids=str,
)
def test_other_seeds_epochs_and_operations_are_independent(change):
    first, second = stream(samples=20_000).uniform(), stream(samples=20_000, **change).uniform()
    assert (first == second).sum() < 10
    assert scipy.stats.pearsonr(first.ravel(), second.ravel()).pvalue > LIKELY


def test_draws_of_one_stream_are_independent():
    one = stream(samples=20_000)
    numbers = np.concatenate([one.uniform(count=2), one.uniform(), one.uniform(count=3)], axis=1)
    for first, second in itertools.combinations(numbers.T, 2):
        assert scipy.stats.pearsonr(first, second).pvalue > LIKELY


def test_neighbouring_samples_are_independent():
    numbers = stream(samples=20_000).uniform().ravel()
    assert scipy.stats.pearsonr(numbers[1:], numbers[:-1]).pvalue > LIKELY


def test_permutation_visits_every_sample_once():
    index = np.arange(1000, dtype="int32")
    order = draws.permutation(5, 0, index)
    assert order.dtype == np.int32
    assert np.array_equal(np.sort(order), index)


def test_permutation_differs_between_epochs_and_seeds():
    index = np.arange(100, dtype="int32")
    orders = [draws.permutation(seed, epoch, index) for seed in (0, 1, -1) for epoch in (0, 1, 2)]
    for first, second in itertools.combinations(orders, 2):
        assert (first == second).mean() < 0.2


def test_every_permutation_is_equally_likely():
    index = np.arange(4, dtype="int32")
    orders = [tuple(draws.permutation(3, epoch, index)) for epoch in range(2400)]
    counts = [orders.count(order) for order in itertools.permutations(range(4))]
    assert sum(counts) == 2400
    assert scipy.stats.chisquare(counts).pvalue > LIKELY


@pytest.mark.parametrize("kind", [np.int8, np.int32, np.int64, np.uint8, np.uint64])
def test_a_numpy_integer_is_as_good_a_seed(kind):
    draws.check_seed(kind(5))
    assert np.array_equal(stream(kind(5)).words(), stream(5).words())


@pytest.mark.parametrize("seed", [0, 1, -1, 2**32, 2**64 - 1, -(2**63)])
def test_check_seed_takes_integers_of_64_bits(seed):
    draws.check_seed(seed)
    assert stream(seed).words().shape == (4, 1)


@pytest.mark.parametrize("seed", [None, True, 1.0, "1", (1, 2), 2**64, -(2**63) - 1, float("nan")])
def test_check_seed_refuses_everything_else(seed):
    with pytest.raises(ValueError) as error:
        draws.check_seed(seed)
    assert f"seed={seed!r}" in str(error.value)
