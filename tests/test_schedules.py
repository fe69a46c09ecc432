"""Learning rates against torch.optim.lr_scheduler, NumPy and the published formulas."""

import math

import keras
import numpy as np
import pytest

from recipes import schedules
from recipes.cifar10_davidnet import sine_height

to_numpy = keras.ops.convert_to_numpy


def torch_rates(make, steps):
    """The learning rates that a torch scheduler gives, step by step."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    scheduler = make(torch.optim.lr_scheduler, optimizer)
    rates = []
    for step in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < steps - 1:
            scheduler.step()
    return rates


@pytest.mark.parametrize("three_phase", [False, True])
@pytest.mark.parametrize("annealing", ["cosine", "linear"])
def test_one_cycle_equals_torch(annealing, three_phase):
    generator = np.random.default_rng(0)
    for _ in range(20):
        total, fraction = int(generator.integers(30, 300)), float(generator.uniform(0.1, 0.45))
        peak, initial, final = generator.uniform(0.01, 2), generator.uniform(2, 50), generator.uniform(2, 1e5)
        expected = torch_rates(
            lambda module, optimizer: module.OneCycleLR(
                optimizer,
                peak,
                total_steps=total,
                pct_start=fraction,
                anneal_strategy="cos" if annealing == "cosine" else "linear",
                div_factor=initial,
                final_div_factor=final,
                three_phase=three_phase,
            ),
            total,
        )
        schedule = schedules.OneCycle(peak, total, fraction, annealing, initial, final, three_phase)
        np.testing.assert_allclose([schedule(step) for step in range(total)], expected, rtol=1e-7, atol=1e-9)
        tensors = [schedule(keras.ops.convert_to_tensor(step)) for step in range(0, total, 9)]
        on_device = to_numpy(keras.ops.stack(tensors))
        np.testing.assert_allclose(on_device, expected[::9], rtol=1e-4, atol=1e-6 * peak)
        assert schedule(total + 5) == pytest.approx(expected[-1], rel=1e-6)


@pytest.mark.parametrize("mode", schedules.MODES)
def test_cyclic_equals_torch(mode):
    generator = np.random.default_rng(0)
    for _ in range(20):
        base, height = generator.uniform(0, 0.1), generator.uniform(0.1, 1)
        step_size, gamma = int(generator.integers(2, 40)), float(generator.uniform(0.9, 1))
        expected = torch_rates(
            lambda module, optimizer: module.CyclicLR(
                optimizer, base, base + height, step_size, mode=mode, gamma=gamma, cycle_momentum=False
            ),
            150,
        )
        schedule = schedules.CyclicLR(base, base + height, step_size, mode, gamma)
        np.testing.assert_allclose([schedule(step) for step in range(150)], expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("scale_mode", schedules.SCALE_MODES)
def test_custom_scales_equal_torch(scale_mode):
    def scale(x):
        return 0.5 * (1 + math.sin(x * math.pi / 2.5))

    expected = torch_rates(
        lambda module, optimizer: module.CyclicLR(
            optimizer, 0.1, 0.6, 7, scale_fn=scale, scale_mode=scale_mode, cycle_momentum=False
        ),
        100,
    )
    rates = [schedules.cyclic_lr(step, 0.1, 0.6, 7, scale_fn=scale, scale_mode=scale_mode) for step in range(100)]
    np.testing.assert_allclose(rates, expected, rtol=1e-7)


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
    ],
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
    for schedule in (schedules.OneCycle(0.5, 12), schedules.PiecewiseLinear([0, 4], [0.0, 0.4]), custom):
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
        (lambda: schedules.PiecewiseLinear([0, 1], [0.1]), "as many"),
        (lambda: schedules.PiecewiseLinear([0, 0], [0.1, 0.2]), "increase"),
    ],
)
def test_bad_arguments_are_refused_at_once(make, message):
    with pytest.raises(ValueError, match=message):
        make()
