"""Pictures of the learning rates, each from the schedule itself."""

import inspect

import keras
import numpy as np

from recipes import schedules
from recipes.reporting import plots

STEPS = 1000
# What the arguments without a default are given in the pictures, as it is written above them.
TYPICAL = {
    "after": "keras.optimizers.schedules.CosineDecay(0.4, 900)",
    "base_lr": "0.01",
    "final_value": "0.77",
    "gradient_accumulation_steps": "50",
    "initial_lr": "0.4",
    "knots": "[0, 200, 1000]",
    "max_lr": "0.4",
    "min_lr": "1e-4",
    "num_samples": "10_000",
    "peak_lr": "0.4",
    "schedule": "PiecewiseLinear([0, 4, 20], [0.0, 0.4, 0.0])",
    "step_size": "125",
    "steps": str(STEPS),
    "total_steps": str(STEPS),
    "values": "[0.0, 0.4, 0.0]",
    "warmup_steps": "100",
}
# Further pictures of the schedules that have these arguments.
VARIANTS = [
    {"mode": "'triangular2'"},
    {"mode": "'exp_range'", "gamma": "0.998"},
    {"annealing": "'linear'"},
    {"three_phase": "True"},
]


def pages(folder):
    """The gallery of schedules.

    Args:
        folder: where the pictures go.

    Returns:
        dict of path to Markdown.
    """
    (folder / "parts").mkdir(parents=True, exist_ok=True)
    lines = []
    for name, schedule in vars(schedules).items():
        if (
            name.startswith("_")
            or not inspect.isclass(schedule)
            or not schedule.__module__.startswith(schedules.__name__)
        ):
            continue
        summary = inspect.getdoc(schedule).splitlines()[0]
        lines += [f"### {name}", "", f"{summary} {{py:obj}}`recipes.schedules.{name}`", ""]
        for number, arguments in enumerate(_examples(schedule)):
            picture = f"{name}-{number}.svg"
            code = f"{name}({', '.join(f'{key}={value}' for key, value in arguments.items())})"
            _draw(code, folder / "parts" / picture)
            lines += ["```python", code, "```"]
            lines += [f"![Its values over {STEPS} steps](/generated/parts/{picture})", ""]
    return {"parts/learning_rates.md": "\n".join(lines)}


def _examples(schedule):
    parameters = inspect.signature(schedule).parameters
    needed = [name for name, each in parameters.items() if each.default is each.empty]
    missing = set(needed) - set(TYPICAL)
    if missing:
        raise ValueError(f"{schedule.__name__} needs {sorted(missing)}: add typical values to {__name__}.TYPICAL.")
    wanted = [name for name in ("base_lr", "max_lr", "step_size") if name in parameters and name not in needed]
    first = {name: TYPICAL[name] for name in parameters if name in needed or name in wanted}
    return [first, *({**first, **variant} for variant in VARIANTS if set(variant) <= set(parameters))]


def _draw(code, path):
    schedule = eval(code, {**vars(schedules), "keras": keras})
    values = [float(keras.ops.convert_to_numpy(schedule(step))) for step in range(STEPS)]
    figure = plots.plot_learning_rate(np.asarray(values), epochs=STEPS)
    figure.axes[0].set_xlabel("step")
    figure.axes[0].set_ylabel("momentum" if "Momentum" in code else "learning rate")
    figure.set_size_inches(6, 2.4)
    plots.save(figure, path)
