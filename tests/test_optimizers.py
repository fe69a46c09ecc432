"""Optimizers with a cycling momentum: against torch and NumPy, inside the compiled step, on each backend."""

import keras
import numpy as np
import pytest

from recipes import callbacks
from recipes import optimizers
from recipes import schedules

to_numpy = keras.ops.convert_to_numpy
STEPS = 12
CYCLE = schedules.OneCycleMomentum(STEPS, base_momentum=0.5, max_momentum=0.95)
RATE = schedules.OneCycle(0.2, STEPS, initial_divisor=4.0)
START, TARGET = np.random.default_rng(0).normal(size=(2, 5)).astype("float32")


def quadratic(optimizer, **compile_arguments):
    """A model whose weights `w` have the gradient `w - TARGET`, whatever the batch."""

    def loss(y_true, y_pred):
        return 0.5 * keras.ops.sum((y_pred - keras.ops.convert_to_tensor(TARGET)) ** 2, -1)

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(5, use_bias=False, dtype="float32")])
    model.set_weights([START[None]])
    model.compile(optimizer, loss, **compile_arguments)
    return model


def train(model, steps=STEPS, **arguments):
    ones = np.ones((steps, 1), "float32")
    model.fit(ones, np.ones((steps, 5), "float32"), batch_size=1, shuffle=False, verbose=0, **arguments)
    return model.get_weights()[0][0]


def by_numpy(rate=RATE, momentum=CYCLE, nesterov=False, steps=STEPS):
    """Keras's SGD: the learning rate goes into the velocity."""
    weights, velocity = START.astype("float64"), np.zeros(5)
    for step in range(steps):
        update = rate(step) * (weights - TARGET)
        velocity = momentum(step) * velocity - update
        weights = weights + (momentum(step) * velocity - update if nesterov else velocity)
    return weights


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_of_each_step_is_that_of_the_schedule(nesterov):
    weights = train(quadratic(optimizers.SGD(RATE, momentum=CYCLE, nesterov=nesterov)))
    np.testing.assert_allclose(weights, by_numpy(nesterov=nesterov), atol=1e-5)
    constant = by_numpy(momentum=lambda step: 0.95, nesterov=nesterov)
    assert abs(weights - constant).max() > 0.01  # the cycle is no detail: the test would see a constant


def test_one_cycle_with_momentum_equals_torch():
    """At a constant rate, where the two forms of SGD agree; and Adam, whose beta_1 cycles."""
    torch = pytest.importorskip("torch")
    for make, ours in (
        (lambda weights: torch.optim.SGD(weights, 0.1, momentum=0.9, nesterov=True), optimizers.SGD),
        (lambda weights: torch.optim.AdamW(weights, 0.1, eps=1e-12, weight_decay=0.05), optimizers.Adam),
    ):
        parameter = torch.nn.Parameter(torch.tensor(START))
        reference = make([parameter])
        cycle = torch.optim.lr_scheduler.OneCycleLR(
            reference, 0.1, total_steps=STEPS, base_momentum=0.5, max_momentum=0.95
        )
        for step in range(STEPS):
            reference.param_groups[0]["lr"] = 0.1 if ours is optimizers.SGD else RATE(step)
            reference.zero_grad()
            (0.5 * (parameter - torch.tensor(TARGET)) ** 2).sum().backward()
            reference.step()
            if step < STEPS - 1:
                cycle.step()
        if ours is optimizers.SGD:
            optimizer = optimizers.SGD(0.1, momentum=CYCLE, nesterov=True)
        else:
            optimizer = optimizers.Adam(RATE, beta_1=CYCLE, epsilon=1e-12, weight_decay=0.05)
        np.testing.assert_allclose(train(quadratic(optimizer)), parameter.detach().numpy(), atol=2e-5)


@pytest.mark.parametrize("make", [lambda: optimizers.SGD(0.1, momentum=0.9), lambda: optimizers.Adam(0.1)])
def test_a_callback_reaches_the_momentum(make, mixed_float16):
    """Under LossScaleOptimizer too: the weights are those of the schedule in the optimizer."""
    callback = callbacks.OneCycle(0.2, STEPS, momentum=(0.5, 0.95), initial_divisor=4.0)
    model = quadratic(make())
    assert type(model.optimizer).__name__ == "LossScaleOptimizer"
    weights = train(model, callbacks=[callback])
    np.testing.assert_allclose(callback.history["momentum"], [CYCLE(step) for step in range(STEPS)])
    scheduled = type(model.optimizer.inner_optimizer)(RATE, CYCLE)
    np.testing.assert_allclose(weights, train(quadratic(scheduled)), atol=1e-5)
    if isinstance(model.optimizer.inner_optimizer, optimizers.SGD):
        np.testing.assert_allclose(weights, by_numpy(), atol=1e-5)


def test_cyclic_callback_turns_the_momentum_the_other_way():
    callback = callbacks.CyclicLR(0.05, 0.2, step_size=3, mode="triangular2", momentum=(0.6, 0.9))
    weights = train(quadratic(optimizers.SGD(0.1, momentum=0.9)), callbacks=[callback])
    rate = schedules.CyclicLR(0.05, 0.2, 3, "triangular2")
    momentum = schedules.CyclicLR(0.9, 0.6, 3, "triangular2")
    assert [momentum(step) for step in (0, 3, 6, 9)] == pytest.approx([0.9, 0.6, 0.9, 0.75])
    np.testing.assert_allclose(weights, by_numpy(rate, momentum), atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: keras.optimizers.SGD(0.1, momentum=0.9), "keras's SGD is compiled"),
        (lambda: keras.optimizers.Adam(0.1), "keras's Adam is compiled"),
        (lambda: optimizers.SGD(0.1), "without momentum"),
        (lambda: optimizers.SGD(0.1, momentum=CYCLE), "follows a schedule"),
    ],
)
def test_callbacks_refuse_a_momentum_that_would_not_change(make, message):
    with pytest.raises(ValueError, match=message):
        train(quadratic(make()), callbacks=[callbacks.OneCycle(0.2, STEPS, momentum=(0.5, 0.95))])


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_saved_models_go_on_with_the_cycle(policy, tmp_path, request):
    if policy == "mixed_float16":
        request.getfixturevalue("mixed_float16")
    model = quadratic(optimizers.SGD(RATE, momentum=CYCLE))
    model.compile(model.optimizer, "mse")  # a loss that can be saved
    train(model, steps=5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    expected = train(model, steps=STEPS - 5)
    np.testing.assert_allclose(train(loaded, steps=STEPS - 5), expected, atol=1e-6)
    inner = getattr(loaded.optimizer, "inner_optimizer", loaded.optimizer)
    assert float(to_numpy(inner.momentum)) == pytest.approx(CYCLE(STEPS), abs=1e-6)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: optimizers.SGD(RATE, momentum=CYCLE, gradient_accumulation_steps=3),
        lambda: keras.optimizers.SGD(schedules.PerUpdate(RATE, 3), gradient_accumulation_steps=3),
        lambda: "callback",
    ],
    ids=["ours", "keras", "callback"],
)
def test_rates_are_those_of_updates_under_accumulation(make, policy, request):
    if policy == "mixed_float16":
        request.getfixturevalue("mixed_float16")
    optimizer, extra = make(), []
    if optimizer == "callback":
        optimizer = optimizers.SGD(0.1, momentum=0.9, gradient_accumulation_steps=3)
        extra = [callbacks.OneCycle(0.2, STEPS, momentum=(0.5, 0.95), initial_divisor=4.0)]
    weights = train(quadratic(optimizer), steps=3 * STEPS, callbacks=extra)
    momentum = (lambda step: 0.0) if type(optimizer).__module__.startswith("keras") else CYCLE
    np.testing.assert_allclose(weights, by_numpy(momentum=momentum), atol=1e-5)
    if extra:
        assert extra[0].history["step"] == list(range(STEPS))


@pytest.mark.parametrize("steps_per_execution", [5])
def test_cycles_are_exact_with_several_steps_per_execution(steps_per_execution, backend):
    if backend == "torch":
        with pytest.raises(ValueError, match="steps_per_execution"):
            train(quadratic(optimizers.SGD(RATE, CYCLE), steps_per_execution=steps_per_execution))
        return
    weights = train(quadratic(optimizers.SGD(RATE, CYCLE), steps_per_execution=steps_per_execution))
    np.testing.assert_allclose(weights, by_numpy(), atol=1e-5)


@pytest.mark.parametrize("by_callback", [False, True])
def test_steps_that_overflow_do_not_count(by_callback, mixed_float16):
    """A batch with an infinite gradient is skipped, and the step after it has the rate that it would have had."""

    def loss(y_true, y_pred):
        return 0.5 * keras.ops.sum((y_pred - keras.ops.convert_to_tensor(TARGET)) ** 2, -1) * y_true[:, 0]

    extra = [callbacks.OneCycle(0.2, STEPS, momentum=(0.5, 0.95), initial_divisor=4.0)] if by_callback else []
    model = quadratic(optimizers.SGD(0.1, momentum=0.9) if by_callback else optimizers.SGD(RATE, CYCLE))
    model.compile(model.optimizer, loss)
    factors = np.insert(np.ones(STEPS, "float32"), [4, 4, 9], np.inf)
    targets = np.repeat(factors[:, None], 5, 1)
    model.fit(np.ones((STEPS + 3, 1)), targets, batch_size=1, shuffle=False, verbose=0, callbacks=extra)
    assert int(to_numpy(model.optimizer.iterations)) == STEPS
    np.testing.assert_allclose(model.get_weights()[0][0], by_numpy(), atol=1e-5)
    if by_callback:
        assert extra[0].history["step"] == list(range(STEPS))


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_coupled_l2_is_that_of_torch(name):
    """Step by step, at a constant learning rate, where the two forms of Nesterov agree."""
    torch = pytest.importorskip("torch")
    start, target = np.random.default_rng(0).normal(size=(2, 5, 1)).astype("float32")
    parameter = torch.nn.Parameter(torch.tensor(start))
    own = {"SGD": {"momentum": 0.9, "nesterov": True}, "Adam": {}}[name]
    reference = getattr(torch.optim, name)([parameter], 0.1, **own, weight_decay=0.3)
    variable = keras.Variable(start)
    optimizer = getattr(optimizers, name)(0.1, **own, **({"epsilon": 1e-8} if name == "Adam" else {}), l2=0.3)
    optimizer.build([variable])
    for _ in range(10):
        reference.zero_grad()
        ((parameter - torch.tensor(target)) ** 2).sum().backward()
        reference.step()
        gradient = 2 * (to_numpy(variable) - target)
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        np.testing.assert_allclose(to_numpy(variable), parameter.detach().numpy(), atol=1e-5)
    assert type(optimizer).from_config(optimizer.get_config()).l2 == 0.3


def test_configurations_make_the_same_optimizer():
    for optimizer in (
        optimizers.SGD(RATE, CYCLE, nesterov=True, l2=0.3, gradient_accumulation_steps=2),
        optimizers.SGD(0.5, 0.25),
        optimizers.Adam(RATE, CYCLE, weight_decay=0.5, l2=0.25),
    ):
        again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
        assert again.get_config() == optimizer.get_config()
        name = optimizer.cycled
        assert float(to_numpy(getattr(again, name))) == pytest.approx(float(to_numpy(getattr(optimizer, name))))


def test_momentum_may_be_any_function_of_the_step():
    def falling(step):
        return 0.9 / (1 + step)

    weights = train(quadratic(optimizers.SGD(RATE, momentum=falling)), steps=5)
    np.testing.assert_allclose(weights, by_numpy(momentum=falling, steps=5), atol=1e-5)


def test_a_schedule_may_be_given_later():
    optimizer = optimizers.SGD(0.1, gradient_accumulation_steps=2)
    optimizer.learning_rate = RATE
    assert optimizer.get_config()["learning_rate"]["class_name"] == "PerUpdate"
    with pytest.raises(ValueError, match="3 micro-steps.*2"):
        optimizer.learning_rate = schedules.PerUpdate(RATE, 3)


@pytest.mark.parametrize("value", [-0.1, 1.5, "high", None, lambda step: 2.0])
def test_momentums_that_are_none_are_refused(value):
    for make in (lambda: optimizers.SGD(0.1, momentum=value), lambda: optimizers.Adam(0.1, beta_1=value)):
        with pytest.raises(ValueError, match="from 0 to 1"):
            make()
    with pytest.raises(ValueError, match="from 0 to 1"):
        optimizers.set_momentum(optimizers.SGD(0.1, momentum=0.9), value)
    with pytest.raises(ValueError, match=r"\(lowest, highest\)") if value is not None else pytest.raises(TypeError):
        callbacks.OneCycle(0.2, STEPS, momentum=value) if value is not None else callbacks.OneCycle()
