"""Learning rates against torch.optim.lr_scheduler, NumPy and the published formulas."""

import math
import warnings

import keras
import numpy as np
import pytest

from recipes import schedules
from recipes.cifar10_davidnet import sine_height
from recipes.schedules import cyclic
from recipes.schedules import superconvergence

to_numpy = keras.ops.convert_to_numpy


def torch_values(make, steps, rate=1.0):
    """The learning rates and the momentums that a torch scheduler gives, step by step."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate, momentum=0.9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SequentialLR warns of its own call
        scheduler = make(torch.optim.lr_scheduler, optimizer)
        values = []
        for step in range(steps):
            values.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]))
            optimizer.step()
            if step < steps - 1:
                scheduler.step()
    return np.transpose(values)


def assert_follows(schedule, expected):
    """Numbers are exact; tensors are the same as far as float32 goes."""
    steps = range(len(expected))
    np.testing.assert_allclose([schedule(step) for step in steps], expected, rtol=1e-7, atol=1e-9)
    tensors = to_numpy(schedule(keras.ops.arange(len(expected))))
    np.testing.assert_allclose(tensors, expected, rtol=2e-4, atol=2e-6 * max(expected))


@pytest.mark.parametrize("three_phase", [False, True])
@pytest.mark.parametrize("annealing", ["cosine", "linear"])
def test_one_cycle_equals_torch_in_rate_and_momentum(annealing, three_phase):
    generator = np.random.default_rng(0)
    for _ in range(30):
        total, fraction = int(generator.integers(30, 120)), float(generator.uniform(0.1, 0.45))
        peak, initial, final = generator.uniform(0.01, 2), generator.uniform(2, 50), generator.uniform(2, 1e5)
        lowest, highest = np.sort(generator.uniform(0.0, 1.0, 2))
        rates, momentums = torch_values(
            lambda module, optimizer: module.OneCycleLR(
                optimizer,
                peak,
                total_steps=total,
                pct_start=fraction,
                anneal_strategy="cos" if annealing == "cosine" else "linear",
                base_momentum=lowest,
                max_momentum=highest,
                div_factor=initial,
                final_div_factor=final,
                three_phase=three_phase,
            ),
            total,
        )
        rate = schedules.OneCycle(peak, total, fraction, annealing, initial, final, three_phase)
        momentum = schedules.OneCycleMomentum(total, lowest, highest, fraction, annealing, three_phase)
        assert_follows(rate, rates)
        assert_follows(momentum, momentums)
        assert rate(total + 5) == pytest.approx(rates[-1], rel=1e-6)
        assert momentum(total + 5) == pytest.approx(highest)


@pytest.mark.parametrize("mode", cyclic.MODES)
def test_cyclic_equals_torch_in_rate_and_momentum(mode):
    generator = np.random.default_rng(0)
    for trial in range(40):
        base, height = generator.uniform(0, 0.1), generator.uniform(0.1, 1)
        up, down = (int(size) for size in generator.integers(2, 40, 2))
        down = None if trial % 2 else down
        gamma = float(generator.uniform(0.9, 1))
        lowest, highest = np.sort(generator.uniform(0.0, 1.0, 2))
        rates, momentums = torch_values(
            lambda module, optimizer: module.CyclicLR(
                optimizer,
                base,
                base + height,
                up,
                down,
                mode=mode,
                gamma=gamma,
                base_momentum=lowest,
                max_momentum=highest,
            ),
            120,
        )
        arguments = {"step_size": up, "step_size_down": down, "mode": mode, "gamma": gamma}
        assert_follows(schedules.CyclicLR(base, base + height, **arguments), rates)
        assert_follows(schedules.CyclicLR(highest, lowest, **arguments), momentums)


@pytest.mark.parametrize("scale_mode", cyclic.SCALE_MODES)
def test_custom_scales_equal_torch(scale_mode):
    def scale(x):
        return 0.5 * (1 + math.sin(x * math.pi / 2.5))

    expected, _ = torch_values(
        lambda module, optimizer: module.CyclicLR(
            optimizer, 0.1, 0.6, 7, scale_fn=scale, scale_mode=scale_mode, cycle_momentum=False
        ),
        100,
    )
    rates = [schedules.cyclic_lr(step, 0.1, 0.6, 7, scale_fn=scale, scale_mode=scale_mode) for step in range(100)]
    np.testing.assert_allclose(rates, expected, rtol=1e-7)


def test_step_decay_equals_torch_by_step_and_by_epoch():
    generator = np.random.default_rng(0)
    for _ in range(100):
        initial, gamma = generator.uniform(0.01, 1), generator.uniform(0.1, 1)
        size, steps_per_epoch = int(generator.integers(1, 9)), int(generator.integers(1, 7))
        rates, _ = torch_values(lambda module, optimizer: module.StepLR(optimizer, size, gamma), 20, initial)
        assert_follows(schedules.StepDecay(initial, size, gamma), rates)
        by_epoch = schedules.StepDecay(initial, size, gamma, steps_per_epoch)
        np.testing.assert_allclose(
            [by_epoch(step) for step in range(20 * steps_per_epoch)], np.repeat(rates, steps_per_epoch), rtol=1e-7
        )


# Samples; the last step of the warm-up, of each level and of the training; by hand from the published rule.
HYPERRULES = [
    (1, 100, (200, 300, 400), 500),
    (19_999, 100, (200, 300, 400), 500),
    (20_000, 500, (3000, 6000, 9000), 10_000),
    (499_999, 500, (3000, 6000, 9000), 10_000),
    (500_000, 500, (6000, 12_000, 18_000), 20_000),
    (14_000_000, 500, (6000, 12_000, 18_000), 20_000),
]


@pytest.mark.parametrize(("num_samples", "warmup", "boundaries", "steps"), HYPERRULES)
def test_bit_hyperrule_is_the_published_table(num_samples, warmup, boundaries, steps):
    assert schedules.hyperrule.hyperrule_lengths(num_samples) == (steps, warmup, boundaries)
    first, second, third = boundaries
    table = {0: 0.0, 1: 0.003 / warmup, warmup // 2: 0.0015, warmup - 1: 0.003 * (warmup - 1) / warmup, warmup: 0.003}
    table |= {first: 0.003, first + 1: 3e-4, second: 3e-4, second + 1: 3e-5, third: 3e-5, third + 1: 3e-6}
    table |= {steps - 1: 3e-6, steps: 3e-6, 10 * steps: 3e-6}
    schedule = schedules.BiTHyperRule(num_samples)
    np.testing.assert_allclose([schedule(step) for step in table], list(table.values()), rtol=1e-12)
    np.testing.assert_allclose(to_numpy(schedule(keras.ops.array(list(table)))), list(table.values()), rtol=1e-6)


def test_bit_hyperrule_is_scaled_to_the_batch_or_left():
    by_batch = schedules.BiTHyperRule(7000, batch_size=128)
    table = {0: 0.0, 200: 0.000375, 400: 0.00075, 800: 0.00075, 801: 7.5e-5, 1201: 7.5e-6, 1600: 7.5e-6, 1601: 7.5e-7}
    np.testing.assert_allclose([by_batch(step) for step in table], list(table.values()), rtol=1e-12)
    assert schedules.hyperrule.hyperrule_lengths(7000, 384) == (667, 133, (267, 400, 533))
    assert schedules.hyperrule.hyperrule_lengths(7000, 512) == schedules.hyperrule.hyperrule_lengths(7000)
    left = schedules.BiTHyperRule(50_000, base_lr=0.001)
    assert [left(step) for step in (250, 500, 3000, 3001)] == pytest.approx([5e-4, 1e-3, 1e-3, 1e-4])


def test_warmup_equals_torch_before_any_schedule():
    generator = np.random.default_rng(0)
    for _ in range(50):
        initial, start, gamma = generator.uniform(0.01, 1), generator.uniform(0.01, 1), generator.uniform(0.5, 1)
        length, size = int(generator.integers(1, 9)), int(generator.integers(1, 9))
        for after, torch_after in (
            (schedules.StepDecay(initial, size, gamma), lambda module, it: module.StepLR(it, size, gamma)),
            (lambda step: initial * gamma**step, lambda module, it: module.ExponentialLR(it, gamma)),
            (initial, lambda module, it: module.ConstantLR(it, 1.0)),
        ):
            rates, _ = torch_values(
                lambda module, optimizer: module.SequentialLR(
                    optimizer,
                    [module.LinearLR(optimizer, start, 1.0, length), torch_after(module, optimizer)],
                    milestones=[length],
                ),
                30,
                initial,
            )
            assert_follows(schedules.Warmup(after, length, start), rates)


def test_warmup_goes_before_schedules_of_keras():
    after = keras.optimizers.schedules.PolynomialDecay(0.4, 10, 0.1)
    schedule = schedules.Warmup(after, warmup_steps=4)
    expected = [0.0, 0.1, 0.2, 0.3, *(0.4 - 0.03 * step for step in range(10)), 0.1, 0.1]
    np.testing.assert_allclose([schedule(step) for step in range(16)], expected, atol=1e-7)
    np.testing.assert_allclose([to_numpy(schedule(keras.ops.array(step))) for step in range(16)], expected, atol=1e-7)


def test_per_update_divides_whole_steps_exactly():
    schedule = schedules.PerUpdate(lambda step: step * 1.0, 3)
    steps = np.array([0, 2, 3, 2**24 + 1, 2**30 + 2])
    assert [schedule(int(step)) for step in steps] == [step // 3 for step in steps]
    assert to_numpy(schedule(keras.ops.array(steps))) == pytest.approx(steps // 3, rel=1e-6)


def every_schedule(generator):
    """One of each kind with drawn settings, its length, and the highest jump that it may make in a step."""
    total, fraction = int(generator.integers(20, 200)), float(generator.uniform(0.1, 0.45))
    peak, size = float(generator.uniform(0.01, 2)), int(generator.integers(3, 50))
    steep = 4 * peak / min(fraction * total - 1, total - 2 * fraction * total)
    for annealing in superconvergence.ANNEALINGS:
        for three_phase in (False, True):
            arguments = {"warmup_fraction": fraction, "annealing": annealing, "three_phase": three_phase}
            yield schedules.OneCycle(peak, total, **arguments), total, steep
            yield schedules.OneCycleMomentum(total, 0.1, 0.1 + 0.4 * peak, **arguments), total, steep
    for mode in cyclic.MODES:
        yield schedules.CyclicLR(0.0, peak, size, mode, 0.99, step_size_down=size + 2), total, 2 * peak / size
    yield schedules.Ramp(peak / 100, peak, total), total, 10 * peak / total
    yield schedules.Warmup(schedules.Ramp(peak / 2, peak, total), size), total, peak / size + 10 * peak / total


def test_schedules_are_never_negative_nor_broken():
    """At every step, between steps and after the end: between 0 and the peak, without a jump."""
    generator = np.random.default_rng(0)
    for _ in range(25):
        for schedule, total, steep in every_schedule(generator):
            steps = np.arange(0, total * 1.2, 0.25)
            values = schedule(steps)
            assert np.isfinite(values).all()
            assert values.min() >= 0
            assert values.max() <= 2
            assert abs(np.diff(values)).max() <= 0.25 * steep + 1e-9, (type(schedule), schedule.arguments)


def test_piecewise_linear_equals_numpy():
    generator = np.random.default_rng(0)
    for _ in range(20):
        knots = np.cumsum(generator.uniform(0.1, 9, 6)) - 5
        values = generator.uniform(0, 1, 6)
        steps = np.linspace(-10, 60, 101)
        rates = [schedules.piecewise_linear(step, list(knots), list(values)) for step in steps]
        np.testing.assert_allclose(rates, np.interp(steps, knots, values), atol=1e-12)


@pytest.mark.parametrize(
    "schedule",
    [
        schedules.OneCycle(0.5, 12),
        schedules.CyclicLR(0.1, 0.4, 3, "triangular2"),
        schedules.CyclicLR(0.1, 0.4, 3, scale_fn=lambda cycle: keras.ops.sin(cycle)),
        schedules.PiecewiseLinear([0, 4, 12], [0.0, 0.4, 0.0]),
        schedules.StepDecay(0.4, 2, 0.5, steps_per_epoch=2),
        schedules.BiTHyperRule(100, batch_size=20_480, base_lr=0.01),
        schedules.Warmup(schedules.StepDecay(0.4, 3, 0.5), 4),
        schedules.Warmup(keras.optimizers.schedules.CosineDecay(0.4, 8), 4),
        schedules.PerUpdate(schedules.Ramp(0.01, 0.5, 4), 3),
    ],
    ids=lambda schedule: type(schedule).__name__,
)
def test_optimizers_follow_schedules_step_by_step(schedule):
    """With a gradient of 1, plain SGD moves the weight by exactly the learning rate."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(schedule), lambda y_true, y_pred: y_pred)
    for step in range(12):
        before = model.get_weights()[0].item()
        model.train_on_batch(np.ones((1, 1)), np.ones((1, 1)))
        assert before - model.get_weights()[0].item() == pytest.approx(float(schedule(step)), abs=1e-6)


def test_schedules_survive_saving():
    custom = schedules.CyclicLR(scale_fn=sine_height)
    for schedule in (
        schedules.OneCycle(0.5, 12),
        schedules.OneCycleMomentum(12),
        schedules.PiecewiseLinear([0, 4], [0.0, 0.4]),
        schedules.StepDecay(0.5, 3),
        schedules.BiTHyperRule(100, 32, 0.1),
        schedules.Ramp(0.1, 0.5, 3, "linear"),
        schedules.Warmup(schedules.PerUpdate(custom, 2), 3),
        schedules.Warmup(keras.optimizers.schedules.CosineDecay(0.4, 8), 4),
        schedules.Warmup(0.5, 4),
        custom,
    ):
        optimizer = keras.optimizers.deserialize(keras.optimizers.serialize(keras.optimizers.SGD(schedule)))
        again = optimizer._learning_rate
        assert [float(again(step)) for step in range(9)] == [float(schedule(step)) for step in range(9)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: schedules.CyclicLR(mode="triangle"), "`mode`.*'triangle'"),
        (lambda: schedules.CyclicLR(scale_mode="step"), "`scale_mode`.*'step'"),
        (lambda: schedules.CyclicLR(step_size=0), "`step_size`.*0"),
        (lambda: schedules.CyclicLR(scale_fn=lambda cycle: math.sin(cycle)), "keras.ops"),
        (lambda: schedules.OneCycle(0.1, 100, annealing="cos"), "`annealing`.*'cos'"),
        (lambda: schedules.OneCycle(0.1, 100, warmup_fraction=1.0), "`warmup_fraction`.*1.0"),
        (lambda: schedules.OneCycle(0.1, 100, 0.6, three_phase=True), "`warmup_fraction`.*0.6"),
        (lambda: schedules.OneCycle(0.1, 2), "total_steps=2"),
        (lambda: schedules.OneCycleMomentum(100, 0.95, 0.85), "base_momentum=0.95"),
        (lambda: schedules.OneCycleMomentum(100, max_momentum=1.1), "max_momentum=1.1"),
        (lambda: schedules.CyclicLR(step_size_down=0), "`step_size_down`.*0"),
        (lambda: schedules.StepDecay(0.1, 0), "`step_size`.*0"),
        (lambda: schedules.StepDecay(0.1, 1, gamma=-1), "`gamma`.*-1"),
        (lambda: schedules.StepDecay(0.1, 1, steps_per_epoch=0), "`steps_per_epoch`.*0"),
        (lambda: schedules.BiTHyperRule(0), "`num_samples`.*0"),
        (lambda: schedules.BiTHyperRule(100, batch_size=0), "`batch_size`.*0"),
        (lambda: schedules.BiTHyperRule(100, base_lr=0), "`base_lr`.*0"),
        (lambda: schedules.Warmup(0.1, 0), "`warmup_steps`.*0"),
        (lambda: schedules.Warmup(0.1, 5, start_factor=2), "`start_factor`.*2"),
        (lambda: schedules.Warmup(lambda step: math.sin(step), 5), "`after`.*keras.ops"),
        (lambda: schedules.PerUpdate(schedules.OneCycle(0.1, 100), 0), "`gradient_accumulation_steps`.*0"),
        (lambda: schedules.Ramp(0.1, 0.01, 5), "min_lr=0.1"),
        (lambda: schedules.Ramp(0.1, 1.0, 1), "`steps`.*1"),
        (lambda: schedules.Ramp(0.1, 1.0, 5, "cubic"), "`spacing`.*'cubic'"),
        (lambda: schedules.PiecewiseLinear([0, 1], [0.1]), "as many"),
        (lambda: schedules.PiecewiseLinear([0, 0], [0.1, 0.2]), "increase"),
    ],
)
def test_bad_arguments_are_refused_at_once(make, message):
    with pytest.raises(ValueError, match=message):
        make()
