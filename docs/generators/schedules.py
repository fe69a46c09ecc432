"""Pictures of the learning rates, each from the schedule itself."""

import inspect

import keras
import numpy as np

from recipes import schedules
from recipes.reporting import plots

STEPS = 1000
# What the arguments without a default are given in the pictures.
TYPICAL = {
    "base_lr": 0.01,
    "boundaries": [300, 700],
    "decay": 0.01,
    "final_lr": 0.0,
    "initial_lr": 0.4,
    "knots": [0, 200, 1000],
    "learning_rate": 0.4,
    "max_lr": 0.4,
    "peak_lr": 0.4,
    "step_size": 125,
    "total_steps": STEPS,
    "values": [0.0, 0.4, 0.0],
    "warmup_steps": 100,
}
# Further pictures, by the arguments that a schedule has.
VARIANTS = [
    {"mode": "triangular2"},
    {"mode": "exp_range", "gamma": 0.998},
    {"annealing": "linear"},
    {"three_phase": True},
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
        if name.startswith("_") or not inspect.isclass(schedule) or schedule.__module__ != schedules.__name__:
            continue
        summary = inspect.getdoc(schedule).splitlines()[0]
        lines += [f"### {name}", "", f"{summary} {{py:obj}}`recipes.schedules.{name}`", ""]
        for number, arguments in enumerate(_examples(schedule)):
            picture = f"{name}-{number}.svg"
            _draw(schedule(**arguments), folder / "parts" / picture)
            code = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
            lines += ["```python", f"{name}({code})", "```"]
            lines += [f"![The learning rate over {STEPS} steps](/generated/parts/{picture})", ""]
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


def _draw(schedule, path):
    rates = [float(keras.ops.convert_to_numpy(schedule(step))) for step in range(STEPS)]
    figure = plots.plot_learning_rate(np.asarray(rates), epochs=STEPS)
    figure.axes[0].set_xlabel("step")
    figure.set_size_inches(6, 2.4)
    plots.save(figure, path)
