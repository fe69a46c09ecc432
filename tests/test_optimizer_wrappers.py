"""Muon, groups, lookahead and what belongs to them: against torch and NumPy written here, in compiled training."""

import keras
import numpy as np
import pytest

from recipes import callbacks
from recipes import finder
from recipes import optimizers
from recipes import schedules
from recipes.training import statistics

to_numpy = keras.ops.convert_to_numpy
STEPS = 20
RATE = schedules.PiecewiseLinear([0, 5, STEPS], [0.02, 0.1, 0.0])
SHAPES = [(3, 3, 4, 8), (1, 1, 16, 4), (7, 5), (3, 10)]  # wide and tall matrices, of convolutions and dense layers
# airbench's: 0.95**5 * (step / total)**3.
DECAY = schedules.PowerRamp(0.95**5, STEPS, power=3)


def random_arrays(shapes, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.normal(size=shape).astype("float32") for shape in shapes]


def run(optimizer, variables, gradients):
    """Steps with given gradients: on JAX compiled, as every operation of a single step is there."""
    gradients = [[None if each is None else keras.ops.convert_to_tensor(each) for each in step] for step in gradients]
    if keras.backend.backend() != "jax":
        for each in gradients:
            optimizer.apply(each, variables)
        return
    import jax

    step = jax.jit(optimizer.stateless_apply)
    weights, state = ([each.value for each in some] for some in (variables, optimizer.variables))
    for each in gradients:
        weights, state = step(state, each, weights)
    for variable, value in zip([*variables, *optimizer.variables], [*weights, *state], strict=True):
        variable.assign(value)


def apply(optimizer, starts, gradients, names=None):
    """Weights after steps with given gradients."""
    names = names or [f"w{number}" for number in range(len(starts))]
    variables = [keras.Variable(start, name=name) for start, name in zip(starts, names)]
    optimizer.build(variables)
    run(optimizer, variables, gradients)
    optimizer.finalize_variable_values(variables)
    return [to_numpy(variable) for variable in variables]


def network():
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.Conv2D(4, 3, use_bias=False, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(3, dtype="float32", name="head"),
        ]
    )


def sgd(rate=RATE, **arguments):
    return optimizers.SGD(rate, 0.85, nesterov=True, learning_rate_in_velocity=False, **arguments)


def recipe_optimizer():
    """All pieces at once."""
    groups = [("conv/kernel$", optimizers.Muon(RATE, dtype="float32")), ("beta$|gamma$", sgd(0.05))]
    return optimizers.Lookahead(optimizers.Grouped(groups, default=sgd(l2=1e-3)), period=3, decay=DECAY)


def fit(model, first=0, last=STEPS):
    generator = np.random.default_rng(1)
    images = generator.normal(size=(STEPS, 8, 6, 6, 3)).astype("float32")
    labels = generator.integers(0, 3, (STEPS, 8))
    images, labels = images[first:last].reshape(-1, 6, 6, 3), labels[first:last].reshape(-1)
    model.fit(images, labels, batch_size=8, shuffle=False, verbose=0)
    return model.get_weights()


def compiled(optimizer):
    model = network()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # XLA takes TensorFlow long to compile: one test below has it, on every backend that can.
    model.compile(optimizer, loss, jit_compile=keras.backend.backend() == "jax")
    return model


def muon_in_torch(weight, gradients, rate, dtype, nesterov, normalize):
    """airbench94_muon's rule from its description, on a kernel of torch's layout (out, in, height, width)."""
    torch = pytest.importorskip("torch")
    weight, buffer = torch.tensor(weight), 0.0
    for step, gradient in enumerate(torch.tensor(gradients)):
        buffer = 0.6 * buffer + gradient
        update = gradient + 0.6 * buffer if nesterov else buffer
        if normalize:
            weight = weight * len(weight) ** 0.5 / weight.norm()
        x = update.reshape(len(update), -1).to(dtype)
        x = x / (x.norm() + 1e-7)
        tall = x.shape[0] > x.shape[1]
        x = x.T if tall else x
        for _ in range(3):
            gram = x @ x.T
            x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
        x = x.T if tall else x
        weight = weight - rate(step) * x.reshape(weight.shape).float()
    return weight.numpy()


@pytest.mark.parametrize(
    ("dtype", "nesterov", "normalize", "tolerance"),
    [("float32", True, True, 1e-5), ("float32", False, False, 1e-5), ("bfloat16", True, True, 0.02)],
)
def test_muon_equals_torch(dtype, nesterov, normalize, tolerance):
    torch = pytest.importorskip("torch")
    starts = random_arrays(SHAPES)
    gradients = [random_arrays(SHAPES, seed) for seed in range(1, STEPS + 1)]
    optimizer = optimizers.Muon(RATE, nesterov=nesterov, normalize=normalize, dtype=dtype)
    for number, weights in enumerate(apply(optimizer, starts, gradients)):
        axes = (3, 2, 0, 1) if weights.ndim == 4 else (1, 0)
        ported = np.stack([each[number].transpose(axes) for each in gradients])
        start = np.ascontiguousarray(starts[number].transpose(axes))
        expected = muon_in_torch(start, ported, RATE, getattr(torch, dtype), nesterov, normalize)
        np.testing.assert_allclose(weights.transpose(axes), expected, atol=tolerance)


@pytest.mark.parametrize("nesterov", [False, True])
def test_torch_form_of_sgd_equals_torch_with_a_schedule(nesterov):
    torch = pytest.importorskip("torch")
    (start,) = random_arrays([(4, 3)])
    gradients = [random_arrays([(4, 3)], seed) for seed in range(1, STEPS + 1)]
    parameter = torch.nn.Parameter(torch.tensor(start))
    reference = torch.optim.SGD([parameter], 1.0, momentum=0.85, nesterov=nesterov, weight_decay=0.3)
    for step, (gradient,) in enumerate(gradients):
        reference.param_groups[0]["lr"] = RATE(step)
        parameter.grad = torch.tensor(gradient)
        reference.step()
    make = {"momentum": 0.85, "nesterov": nesterov, "l2": 0.3}
    (weights,) = apply(optimizers.SGD(RATE, **make, learning_rate_in_velocity=False), [start], gradients)
    np.testing.assert_allclose(weights, parameter.detach().numpy(), atol=1e-5)
    (other,) = apply(optimizers.SGD(RATE, **make), [start], gradients)
    assert abs(other - weights).max() > 0.01  # the form is no detail


def test_groups_equal_separate_optimizers():
    shapes, names = [(4, 3), (3,), (3,)], ["kernel", "beta", "bias"]
    starts = random_arrays(shapes)
    gradients = [random_arrays(shapes, seed) for seed in range(1, STEPS + 1)]
    makers = [
        lambda: optimizers.Muon(RATE, dtype="float32"),
        lambda: sgd(0.05),
        lambda: keras.optimizers.Adam(0.01, use_ema=True),
    ]
    grouped = optimizers.Grouped([("kernel", makers[0]()), ("beta$", makers[1]())], default=makers[2]())
    weights = apply(grouped, starts, gradients, names)
    for number, make in enumerate(makers):
        (expected,) = apply(make(), starts[number : number + 1], [each[number : number + 1] for each in gradients])
        np.testing.assert_allclose(weights[number], expected, atol=1e-6)
    assert int(to_numpy(grouped.iterations)) == STEPS
    assert float(to_numpy(grouped.learning_rate)) == pytest.approx(0.01)


def test_groups_without_a_gradient_go_on_with_their_schedules():
    starts = random_arrays([(3,), (3,)])
    ones = np.ones(3, "float32")
    optimizer = optimizers.Grouped([("a", optimizers.SGD(lambda: 0.0)), ("b", optimizers.SGD(RATE))], sgd())
    weights = apply(optimizer, starts, [[ones, None]] * 5 + [[ones, ones]], ["a", "b"])
    np.testing.assert_allclose(weights[1], starts[1] - RATE(5), atol=1e-6)
    assert float(to_numpy(optimizer.learning_rate)) == pytest.approx(RATE(6))


def test_the_first_pattern_that_is_found_wins():
    starts = random_arrays([(3,), (3,)])
    optimizer = optimizers.Grouped([("first_b", optimizers.SGD(0.5)), ("b$", optimizers.SGD(0.25))], sgd())
    weights = apply(optimizer, starts, [[np.ones(3, "float32")] * 2], ["first_b", "second_b"])
    np.testing.assert_allclose([start - each for start, each in zip(starts, weights)], [[0.5] * 3, [0.25] * 3])


@pytest.mark.parametrize("accumulated", [None, 2])
def test_lookahead_equals_numpy(accumulated):
    (start,) = random_arrays([(5,)])
    gradients = [random_arrays([(5,)], seed) for seed in range(1, STEPS + 1)]
    inner = optimizers.SGD(RATE, gradient_accumulation_steps=accumulated)
    optimizer = optimizers.Lookahead(inner, period=3, decay=DECAY)
    variable = keras.Variable(np.zeros(5, "float32"))
    optimizer.build([variable])
    variable.assign(start)  # loaded after the optimizer was built
    run(optimizer, [variable], [gradient for gradient in gradients for _ in range(accumulated or 1)])
    slow = fast = start.astype("float64")
    for step, gradient in enumerate(gradients):
        fast = fast - RATE(step) * gradient[0]
        if (step + 1) % 3 == 0:
            decay = 0.95**5 * ((step + 1) / STEPS) ** 3
            slow = fast = decay * slow + (1 - decay) * fast
    np.testing.assert_allclose(to_numpy(variable), fast, atol=1e-5)
    optimizer.finalize_variable_values([variable])
    np.testing.assert_allclose(to_numpy(variable), slow, atol=1e-5)
    assert abs(slow - fast).max() > 1e-3


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_a_run_that_is_saved_and_loaded_is_the_same_run(policy, tmp_path, request):
    if policy == "mixed_float16":
        request.getfixturevalue("mixed_float16")
    expected = fit(compiled(recipe_optimizer()))
    model = compiled(recipe_optimizer())
    assert hasattr(model.optimizer, "inner_optimizer") == (policy == "mixed_float16")
    fit(model, last=9)  # a multiple of the period
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    tolerance = 1e-6 if policy == "float32" else 2e-3
    for weight, other in zip(fit(loaded, first=9), expected):
        np.testing.assert_allclose(weight, other, atol=tolerance)
    assert int(to_numpy(loaded.optimizer.iterations)) == STEPS
    assert float(to_numpy(loaded.optimizer.learning_rate)) == pytest.approx(0.0, abs=1e-7)


def test_weights_of_the_optimizer_can_be_set_in_any_place_of_the_period():
    """What a checkpoint of a run holds: model and optimizer, in the middle of it."""
    expected = fit(compiled(recipe_optimizer()))
    model = compiled(recipe_optimizer())
    model.optimizer.finalize = False
    fit(model, last=10)
    again = compiled(recipe_optimizer())
    again.optimizer.build(again.trainable_variables)
    again.set_weights(model.get_weights())
    again.optimizer.set_weights([to_numpy(variable) for variable in model.optimizer.variables])
    for weight, other in zip(fit(again, first=10), expected):
        np.testing.assert_allclose(weight, other, atol=1e-6)


def test_compiled_training_equals_single_steps(backend):
    """`fit`, jitted where it can be, against `apply` by hand with the gradients of a linear model."""
    weights, target = random_arrays([(5,), (5,)])
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(5, use_bias=False)])

    def loss(y_true, y_pred):
        return 0.5 * keras.ops.sum((y_pred - keras.ops.convert_to_tensor(target)) ** 2, -1)

    steps, steps_per_execution = 8, 1 if backend == "torch" else 4

    def make():
        grouped = optimizers.Grouped([("kernel", optimizers.Muon(RATE, dtype="float32"))], default=sgd(0.1))
        return optimizers.Lookahead(grouped, 3, DECAY, finalize=False)

    model.set_weights([weights[None]])
    model.compile(make(), loss, steps_per_execution=steps_per_execution)
    model.fit(np.ones((steps, 1)), np.ones((steps, 5)), batch_size=1, verbose=0)
    variable, optimizer = keras.Variable(weights[None], name="kernel"), make()
    optimizer.build([variable])
    for _ in range(steps):
        run(optimizer, [variable], [[to_numpy(variable) - target]])
    np.testing.assert_allclose(model.get_weights()[0], to_numpy(variable), atol=1e-4)


def test_variables_of_the_optimizer_are_those_of_its_parts():
    model = network()
    optimizer = recipe_optimizer()
    optimizer.build(model.trainable_variables)
    variables = {id(variable) for variable in optimizer.variables}
    # Five weights with a velocity and a slow weight each, a learning rate that is a variable, three
    # momentums, and the counts of three optimizers and two wrappers.
    assert len(variables) == len(optimizer.variables) == 5 + 5 + 1 + 3 + 5
    assert not variables & {id(variable) for variable in model.variables}


def test_steps_that_overflow_change_no_slow_weight(mixed_float16):
    model = compiled(recipe_optimizer())
    before = fit(model, last=3)
    count = int(to_numpy(model.optimizer.iterations))
    weights = [to_numpy(variable) for variable in model.optimizer.inner_optimizer.variables]
    model.fit(np.full((8, 6, 6, 3), np.inf, "float32"), np.zeros(8, int), batch_size=8, verbose=0)
    assert int(to_numpy(model.optimizer.iterations)) == count == 3
    for variable, other in zip(model.trainable_variables, before[:3] + before[-2:]):
        assert np.isfinite(to_numpy(variable)).all() and variable.shape == other.shape
    for variable, weight in zip(model.optimizer.inner_optimizer.variables, weights):
        np.testing.assert_array_equal(to_numpy(variable), weight)


def test_callbacks_and_range_tests_reach_the_default():
    """Learning rate, momentum, logger."""
    model = compiled(optimizers.Lookahead(optimizers.Grouped([("conv", sgd(0.1))], optimizers.SGD(0.1, 0.9))))
    policy = callbacks.OneCycle(0.2, STEPS, momentum=(0.5, 0.95))
    images, labels = np.zeros((16, 6, 6, 3), "float32"), np.zeros(16, int)
    history = model.fit(images, labels, batch_size=8, verbose=0, callbacks=[policy, callbacks.LearningRateLogger()])
    assert history.history["learning_rate"][0] == pytest.approx(schedules.one_cycle(1, 0.2, STEPS), rel=1e-5)
    default = model.optimizer.main.main
    assert float(to_numpy(default.momentum)) == pytest.approx(
        schedules.one_cycle_momentum(1, STEPS, 0.5, 0.95), rel=1e-5
    )
    result = finder.LRFinder(model, 1e-4, 1e-2, steps=2).find(images, labels, batch_size=8)
    np.testing.assert_allclose(result.rates, [1e-4, 1e-2], rtol=1e-4)


def test_decoupled_hyperparameters_are_the_published_ones():
    for rate, decay, expected in (
        (11.5, 0.0153, (1.5, 1.330e-3)),
        (64 * 11.5, 0.0153, (96.0, 2.08e-5)),
        (10.0, 0.0153, (1.304, 1.53e-3)),
        (64 * 10.0, 0.0153, (83.5, 2.39e-5)),
        (9.0, 0.012, (1.174, 1.333e-3)),
    ):
        assert optimizers.decoupled(rate, decay, 0.85, 1024) == pytest.approx(expected, rel=2e-3)
    half = optimizers.decoupled(11.5, 0.0153, 0.85, batch_size=512)
    assert half == pytest.approx((0.75, 2.660e-3), rel=2e-3)


def test_statistics_are_the_mean_over_the_batches():
    model = network()
    model.layers[-1].trainable = False
    before = model.get_weights()
    batches = np.random.default_rng(2).normal(3.0, 2.0, size=(4, 8, 6, 6, 3)).astype("float32")
    statistics.refresh_batch_statistics(model, [(batch, None) for batch in batches])
    (kernel,) = model.get_layer("conv").get_weights()
    torch = pytest.importorskip("torch")
    outputs = [
        torch.nn.functional.conv2d(
            torch.tensor(batch.transpose(0, 3, 1, 2)), torch.tensor(kernel.transpose(3, 2, 0, 1))
        )
        for batch in batches
    ]
    norm = model.get_layer("norm")
    mean = torch.stack([each.mean((0, 2, 3)) for each in outputs]).mean(0)
    variance = torch.stack([each.var((0, 2, 3), unbiased=False) for each in outputs]).mean(0)
    np.testing.assert_allclose(to_numpy(norm.moving_mean), mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(to_numpy(norm.moving_variance), variance, rtol=1e-4)
    assert norm.momentum == 0.99
    changed = [not np.array_equal(weight, other) for weight, other in zip(model.get_weights(), before)]
    assert sum(changed) == 2


def test_statistics_refuse_what_they_cannot_refresh():
    before = (model := network()).get_weights()
    with pytest.raises(ValueError, match="holds no batch"):
        statistics.refresh_batch_statistics(model, iter(()))
    with pytest.raises(ValueError, match="no trainable BatchNormalization"):
        statistics.refresh_batch_statistics(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]), [])
    for weight, other in zip(model.get_weights(), before):
        np.testing.assert_array_equal(weight, other)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optimizers.Muon(steps=0), "`steps`.*0"),
        (lambda: optimizers.Muon(dtype="float8"), "`dtype`.*float8"),
        (lambda: optimizers.Muon(momentum=2.0), "from 0 to 1"),
        (lambda: optimizers.Muon().build([keras.Variable(np.zeros(3), name="beta")]), r"beta of shape \(3,\)"),
        (lambda: optimizers.Grouped([("a", "sgd")], sgd()), "takes optimizers.*'sgd'"),
        (lambda: optimizers.Grouped([("(", sgd())], sgd()), "regular expression"),
        (lambda: optimizers.Grouped("beta", sgd()), "list of pairs"),
        (lambda: optimizers.Grouped([("a", both := sgd()), ("b", both)], sgd()), "of its own"),
        (lambda: optimizers.Grouped([("a", sgd(gradient_accumulation_steps=2))], sgd()), "gradient_accumulation"),
        (lambda: apply(optimizers.Grouped([("gamma", sgd())], sgd()), [np.zeros(3)], []), "gamma.*mend it.*w0"),
        (lambda: optimizers.Lookahead(keras.optimizers.LossScaleOptimizer(sgd())), "inside a LossScaleOptimizer"),
        (lambda: optimizers.Lookahead(sgd(), period=0), "`period`.*0"),
        (lambda: optimizers.Lookahead(sgd(), decay=1.5), "`decay`.*1.5"),
        (lambda: optimizers.decoupled(11.5, 0.0153, momentum=1), "below 1"),
        (lambda: optimizers.decoupled(0, 0.0153, momentum=0.9), "`learning_rate` must be positive"),
        (lambda: schedules.PowerRamp(1.0, 0), "`total_steps` must be positive"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
