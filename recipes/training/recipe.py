"""What makes a function a recipe: named experiments, checked arguments, a run around it."""

import dataclasses
import functools
import inspect
import typing

from recipes import schedules
from recipes.catalogue import check_name
from recipes.training.arguments import checked
from recipes.training.range_test import RangeTestRun
from recipes.training.run import Run


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One documented experiment: what it sets, and what was documented of it.

    Args:
        arguments: dict. The arguments of the recipe that it sets.
        documented: str. The figure that its source states; "" if it states none. Defaults to "".
        note: str. What it is, and what its source leaves open. Defaults to "".

    Example:

    >>> Experiment({"epochs": 20}, "94.1%").arguments
    {'epochs': 20}
    """

    arguments: dict
    documented: str = ""
    note: str = ""


def _settings(
    seed: int = 0,
    precision: typing.Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "auto",
    jit_compile: bool | None = None,
    devices: int | typing.Literal["auto", "all", "workers"] = "auto",
    runs: str = "runs",
    quiet: bool = False,
    tensorboard: bool = True,
    wandb: str | None = None,
    save_seconds: float = 300.0,
    save_steps: int | None = None,
    on_nan: typing.Literal["stop", "resume"] = "stop",
    deterministic: bool = False,
):
    """What every recipe takes.

    Args:
        seed: int. Of every random draw. Defaults to 0.
        precision: one of "auto", "float32", "mixed_bfloat16", "mixed_float16". "auto" is bfloat16
            where the hardware has it, else float16 on an accelerator, else float32. Defaults to "auto".
        jit_compile: bool, whether to compile with XLA, or None to choose by device. Defaults to None.
        devices: int, how many devices of this machine share each batch; or "auto", one, "all" of this machine, or
            "workers", those of all processes that the environment tells of (`recipes.training.devices`): with
            TensorFlow or JAX. Defaults to "auto".
        runs: str. Folder in which the folder of the run is made. Defaults to "runs".
        quiet: bool. Whether to show no progress. Defaults to False.
        tensorboard: bool. Whether to write the history for TensorBoard too, beside the csv. Defaults to True.
        wandb: str. Project of Weights & Biases to log to, or ENTITY/PROJECT; None for none. It needs the
            package wandb, and no network where the environment says WANDB_MODE=offline. Defaults to None.
        save_seconds: float. Seconds after which the state of the training is saved, from which `zoo run --resume`
            goes on. Defaults to 300.
        save_steps: int, the same in steps, or None; what is sooner counts. Defaults to None.
        on_nan: one of "stop", at the step whose loss is infinite or no number; "resume": go back to the last state
            that was saved, and on at half the learning rate, five times at most. Defaults to "stop".
        deterministic: bool. Whether to compute by kernels alone that give the same bits each time. CPUs do anyway; on
            GPUs steps take longer, of some networks several times as long. Defaults to False.
    """


def recipe(experiments, default):
    """Make a recipe of a function `train(run, *, ...) -> run.finish(...)`.

    What is called takes the name of an experiment and any of the function's keyword arguments, and
    the settings that every recipe takes. What is given goes before what the experiment sets, and
    that before the defaults of the signature. A parameter whose annotation is a dataclass stands for
    the fields of that class, each an argument of its own.

    Args:
        experiments: dict of name to `Experiment`.
        default: str. The experiment that runs where none is named.

    Returns:
        A decorator. The decorated function has `experiments`, `parameters` (name to
        `inspect.Parameter`), `help` (name to text), `name`, and `find_lr(experiment, *, min_lr, max_lr,
        steps, **arguments)`: the range test of `recipes.finder` on exactly what the recipe trains. Of
        `go_on(folder, arguments)` `recipes.resume` makes use.

    Raises:
        ValueError: from the decorated function, for unknown names and arguments of the wrong kind.

    Example:

    >>> @recipe({"short": Experiment({"epochs": 1})}, default="short")
    ... def train(run, *, epochs: int = 20):
    ...     "Args: none."
    >>> list(train.parameters)[:2]
    ['experiment', 'epochs']
    """

    def decorate(function):
        own = list(inspect.signature(function).parameters.values())[1:]
        groups = {each.name: each.annotation for each in own if dataclasses.is_dataclass(each.annotation)}
        own = [part for each in own for part in _members(groups.get(each.name)) or [each]]
        common = list(inspect.signature(_settings).parameters.values())
        choice = inspect.Parameter(
            "experiment", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=str
        )
        keyword_only = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own + common]
        parameters = {each.name: each for each in [choice, *keyword_only]}

        name = function.__module__.rpartition(".")[2]

        def settings(experiment, given):
            arguments = resolve(train, experiment, given)
            request = {"experiment": experiment, **arguments}
            taken = {each.name: arguments.pop(each.name) for each in common}
            of_run = {"recipe": name, "experiment": experiment, "experiments": experiments, "request": request}
            return {**of_run, **taken}, arguments

        def call(run, arguments):
            grouped = {
                name: group(**{each.name: arguments.pop(each.name) for each in _members(group)})
                for name, group in groups.items()
            }
            function(run, **grouped, **arguments)

        @functools.wraps(function)
        def train(experiment=default, **given):
            return go_on(None, {"experiment": experiment, **given})

        def go_on(folder, given):
            """Go on with the run in a folder that it was begun in, with these arguments."""
            of_run, arguments = settings(given.pop("experiment"), given)
            with Run(arguments=arguments, folder=folder, **of_run) as run:
                call(run, arguments)
            return run.record

        def find_lr(experiment=default, *, min_lr=1e-5, max_lr=10.0, steps=100, **given):
            """The range test of `recipes.finder` on what the recipe trains: a `RangeTest`, and no folder."""
            of_run, arguments = settings(experiment, given)
            of_test = {"min_lr": min_lr, "max_lr": max_lr, "steps": steps}
            schedules.Ramp(**of_test)  # refuses bad arguments before data are loaded
            with RangeTestRun(of_test, arguments=arguments, **of_run) as run:
                call(run, arguments)
            return run.result

        train.name, train.find_lr, train.go_on = name, find_lr, go_on
        parts = [*groups.values(), function, _settings]
        train.__doc__ = _docstring(parts, function, experiments, default)
        train.experiments = experiments
        train.parameters = parameters
        train.help = {"experiment": f"one of {', '.join(experiments)}"}
        for part in parts:
            train.help |= _help(part)
        train.__signature__ = inspect.Signature(list(parameters.values()))
        return train

    return decorate


def resolve(train, experiment, given):
    """The arguments of a run.

    Args:
        train: a recipe.
        experiment: str.
        given: dict. Arguments that the caller gave.

    Returns:
        dict of every argument but `experiment`.

    Raises:
        ValueError: for unknown names and arguments of the wrong kind.

    Example:

    >>> from recipes.catalogue import load_recipe
    >>> resolve(load_recipe("cifar10_davidnet"), "dawn", {"seed": 3})["epochs"]
    24
    """
    check_name("experiment", experiment, train.experiments)
    for name in given:
        check_name("argument", name, train.parameters)
    defaults = {name: each.default for name, each in train.parameters.items() if name != "experiment"}
    arguments = {**defaults, **train.experiments[experiment].arguments, **given}
    return {name: checked(name, arguments[name], train.parameters[name].annotation) for name in defaults}


def shared():
    """What every recipe takes, beside its own.

    Returns:
        `(parameters, texts)`: dicts of name to `inspect.Parameter`, and to what it is.

    Example:

    >>> shared()[0]["save_seconds"].default
    300.0
    """
    return dict(inspect.signature(_settings).parameters), _help(_settings)


def _members(group):
    """The parameters of a dataclass; none of None."""
    return [] if group is None else list(inspect.signature(group).parameters.values())


def _docstring(parts, function, experiments, default):
    """The docstring of a recipe, with the arguments of all its parts."""
    head, args, rest = inspect.getdoc(function).partition("Args:\n")
    arguments = [f"    experiment: str, one of {', '.join(experiments)}. Defaults to {default!r}."]
    arguments += [_arguments(part) for part in parts]
    tail = "".join(rest.partition("\n\n")[1:])
    return head + args + "\n".join(arguments) + tail if args else head


def _arguments(part):
    """The section of a docstring on the arguments, without its heading."""
    return inspect.getdoc(part).partition("Args:\n")[2].partition("\n\n")[0].rstrip()


def _help(function):
    """The descriptions of arguments in a docstring, by name."""
    texts = {}
    for line in _arguments(function).splitlines():
        if line.startswith("    ") and not line.startswith("     "):
            name, _, text = line.strip().partition(": ")
            texts[name] = text
        elif texts:
            texts[name] += " " + line.strip()
    return texts
