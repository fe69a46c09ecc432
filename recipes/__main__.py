"""The command line: `zoo`, the same as `python -m recipes`."""

import argparse
import os
import pathlib
import re
import sys

from recipes.catalogue import check_name
from recipes.catalogue import list_recipes
from recipes.catalogue import load_recipe
from recipes.catalogue import nearest
from recipes.reporting import commands as reporting_commands
from recipes.reporting import plots
from recipes.reporting import tables
from recipes.trials import command as sweeps

_CHOICES = re.compile(r"invalid choice: '?([^']*?)'? \(choose from (.*)\)")


def main(arguments=None):
    """Run one command.

    Args:
        arguments: list of str, or None for those of the process. Defaults to None.

    Returns:
        int. The exit status: 0, 1 for what went wrong meanwhile, 2 for bad input, 130 for an interruption, 143 for
        one by SIGTERM.

    Example:

    >>> main(["run", "cifar10_davidnt"])
    2
    """
    try:
        given = sys.argv[1:] if arguments is None else arguments
        _switch(given)
        options = _parser(given).parse_args(given)
        options.command(options)
        return 0
    except ValueError as error:
        _complain(" ".join([str(error), *getattr(error, "__notes__", [])]))
        return 2
    except KeyboardInterrupt as error:
        _complain(str(error) or "interrupted")
        return getattr(error, "status", 130)
    except Exception as error:
        from recipes.training.devices import leave
        from recipes.training.faults import explain

        reason = explain(error)
        if reason is None:  # a bug, which a traceback helps to find
            raise
        _complain(reason)
        leave(error)
        return 1


def _complain(text):
    print(f"zoo: {' '.join(text.split())}", file=sys.stderr)


def _switch(arguments):
    """What JAX must find in the environment before it begins."""
    if "--deterministic" in arguments and os.environ.get("KERAS_BACKEND") == "jax" and "keras" not in sys.modules:
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, with what may have been meant."""

    flags = ()

    def add_argument(self, *names, **options):
        action = super().add_argument(*names, **options)
        self.flags = (*self.flags, *action.option_strings)
        return action

    def parse_known_args(self, args=None, namespace=None):
        namespace, rest = super().parse_known_args(args, namespace)
        unknown = next((each.partition("=")[0] for each in rest if each.startswith("--")), None)
        if unknown is not None:
            self.error(f"unrecognized arguments: {unknown}{_hint(unknown, self.flags)}")
        return namespace, rest

    def error(self, message):
        if found := _CHOICES.search(message):
            message += _hint(found[1], re.findall(r"[\w-]+", found[2]))
        mark = "" if message.endswith("?") else "."
        raise ValueError(f"{message}{mark} See '{self.prog} --help'.")


def _hint(name, known):
    near = nearest(name, known)
    return f". Did you mean {near!r}?" if near else ""


def _parser(arguments):
    parser = _Parser(prog="zoo", description="Keras models, recipes and their evidence.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)

    command = commands.add_parser("list", help="models with their parameters; recipes with their figures")
    command.add_argument("name", nargs="?", default="", help="only models and recipes whose name contains this")
    command.set_defaults(command=_list)

    command = commands.add_parser("run", help="train a recipe")
    text = "go on with a run that was interrupted, in its folder, with its own arguments"
    command.add_argument("--resume", metavar="FOLDER", help=text)
    if arguments[:1] == ["run"] and any(word.split("=")[0] == "--resume" for word in arguments):
        command.set_defaults(command=_resume)
        _add_resume(command, arguments)
    else:
        command.set_defaults(command=_run)
        _add_recipe(command, arguments)

    command = commands.add_parser("data", help="put images into the folders that recipes read")
    _add_data(command.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser))

    command = commands.add_parser("sweep", help="many trials of a recipe: grid, random or Bayesian search")
    command.set_defaults(command=_sweep)
    sweeps.add_options(command)
    _add_recipe(command, arguments, without=sweeps.SET_BY_A_SWEEP)

    command = commands.add_parser("lr-find", help="learning-rate range test of what a recipe trains, as a picture")
    command.set_defaults(command=_lr_find)
    command.add_argument("--min-lr", type=float, default=1e-5, metavar="FLOAT", help="default: %(default)s")
    command.add_argument("--max-lr", type=float, default=10.0, metavar="FLOAT", help="default: %(default)s")
    command.add_argument("--steps", type=int, default=100, metavar="INT", help="updates (default: %(default)s)")
    command.add_argument("--output", default="lr_find.png", help="the picture; a .csv beside it (default: %(default)s)")
    _add_recipe(command, arguments)

    command = commands.add_parser("plot", help="curves of runs side by side, as a picture")
    command.add_argument("runs", nargs="+", metavar="RUN", help="folder of a run")
    command.add_argument("--comparison", action="store_true", help="accuracies of all runs in one panel")
    command.add_argument("--last", type=int, metavar="INT", help="with --comparison: only so many epochs, the last")
    command.add_argument("--output", default="runs.png", help="the picture (default: %(default)s)")
    command.set_defaults(command=_plot)

    reporting_commands.add_commands(commands, _import_keras)

    command = commands.add_parser("preview", help="every augmentation on images, as a picture")
    command.add_argument("images", nargs="*", metavar="IMAGE", help="image files; scikit-learn's two if none is given")
    command.add_argument("--size", type=int, default=96, help="pixels a side that they are scaled to (default: 96)")
    command.add_argument("--seed", type=int, default=0, help="default: 0")
    command.add_argument("--output", default="preview.png", help="the picture (default: %(default)s)")
    command.set_defaults(command=_preview)

    command = commands.add_parser("summary", help="the layers of a model")
    command.add_argument("model", metavar="MODEL", help="a name that `zoo list` shows")
    command.add_argument("--classes", type=int, help="default: the builder's")
    command.add_argument("--input-shape", type=int, nargs=3, metavar="N", help="height, width, channels")
    command.set_defaults(command=_summary)
    return parser


def _add_data(commands):
    text = "a folder of images and a csv of their classes into class folders for training, validation and test"
    command = commands.add_parser("arrange", help=text)
    command.add_argument("images", metavar="IMAGES", help="folder: flat, with folders for splits, or of class folders")
    command.add_argument("output", metavar="OUTPUT", help="folder that is not there yet")
    command.add_argument("--csv", help="image ids, with or without extension, and classes")
    command.add_argument("--path-column", metavar="NAME", help="of the ids (default: one called image, id, path...)")
    command.add_argument("--label-column", metavar="NAME", help="of the classes (default: one called label, class...)")
    command.add_argument("--group-column", metavar="NAME", help="of the patients, who are not divided by a split")
    for name, default in (("validation", 0.2), ("test", 0.0)):
        text = "of all images, where there are no folders for splits (default: %(default)s)"
        command.add_argument(f"--{name}-fraction", type=float, default=default, metavar="FLOAT", help=text)
    command.add_argument("--seed", type=int, default=0, help="default: 0")
    command.add_argument("--mode", choices=("copy", "link", "symlink"), default="copy", help="default: copy")
    command.add_argument("--skip-bad", action="store_true", help="leave out what is missing or cannot be read")
    command.set_defaults(command=_arrange)

    command = commands.add_parser("export", help="CIFAR-10, or scikit-learn's digits, as class folders of PNG files")
    command.add_argument("name", metavar="NAME", help="cifar10 or digits")
    command.add_argument("output", metavar="OUTPUT", help="folder that is not there yet; train and val are made in it")
    command.add_argument("--count", type=int, metavar="INT", help="images for training (default: all)")
    text = "images for validation (default: the same share)"
    command.add_argument("--validation-count", type=int, metavar="INT", help=text)
    command.add_argument("--data-dir", metavar="FOLDER", help="of CIFAR-10 (default: it is downloaded)")
    command.add_argument("--seed", type=int, default=0, help="of the choice of images (default: 0)")
    command.set_defaults(command=_export)


def _add_recipe(command, arguments, without=()):
    """Give `zoo run RECIPE` and the like the options that the recipe's signature has."""
    names = list_recipes()
    command.add_argument(
        "recipe", metavar="RECIPE", help=f"one of {', '.join(names)}; its options: {command.prog} RECIPE -h"
    )
    own = arguments[:1] == [command.prog.split()[-1]]
    words = [word for word in arguments[1:] if not word.startswith("-")] if own else []
    if not words:
        return
    name = next((word for word in words if word in names), words[0])
    check_name("recipe", name, names)
    _import_keras()
    train = load_recipe(name)
    command.description = train.__doc__.splitlines()[0]
    command.add_argument("--demo", action="store_true", help="the experiment demo: small embedded data, a minute")
    for name in [name for name in train.parameters if name not in without]:
        _add_option(command, name, train.parameters[name], train.help[name])


def _add_resume(command, arguments):
    """The options of `zoo run --resume`: how it goes on, not what it trains."""
    _import_keras()
    from recipes.training.recipe import shared
    from recipes.training.resume import SETTINGS

    flags = {"--resume", "--no-quiet", "-h", "--help", *(f"--{name.replace('_', '-')}" for name in SETTINGS)}
    others = [word for word in arguments[1:] if word.startswith("-") and word.partition("=")[0] not in flags]
    if others:
        raise ValueError(f"--resume goes on with the arguments that the run was begun with: leave out {others[0]}.")
    parameters, texts = shared()
    for name in SETTINGS:
        _add_option(command, name, parameters[name], texts[name])


def _add_option(command, name, parameter, text):
    from recipes.training.arguments import kinds

    types, literals = kinds(parameter.annotation)
    flag = f"--{name.replace('_', '-')}"
    options = {"dest": name, "default": argparse.SUPPRESS, "help": text.replace("%", "%%")}
    if bool in types:
        command.add_argument(flag, action=argparse.BooleanOptionalAction, **options)
    elif literals and int in types:
        metavar = "|".join(["INT", *literals])
        command.add_argument(flag, type=_number_or_word, metavar=metavar, **options)
    elif literals:
        command.add_argument(flag, choices=literals, **options)
    else:
        kind = next(each for each in types if each is not type(None))
        command.add_argument(flag, type=kind, metavar=kind.__name__.upper(), **options)


def _number_or_word(text):
    return int(text) if text.lstrip("-").isdigit() else text


def _run(options):
    train, arguments = _recipe(options)
    record = train(**arguments)
    if not arguments.get("quiet"):
        tables.show_record(record)


def _resume(options):
    from recipes.training.resume import resume

    settings = {name: value for name, value in vars(options).items() if name not in ("command", "resume")}
    record = resume(options.resume, **settings)
    if not settings.get("quiet"):
        tables.show_record(record)


def _arrange(options):
    from recipes.data import arrange

    arguments = {name: value for name, value in vars(options).items() if name != "command"}
    counts, skipped = arrange.arrange(**arguments)
    for problem in skipped:
        print(f"left out: {problem}")
    arrange.show_counts(counts)


def _export(options):
    from recipes.data.arrange import show_counts
    from recipes.data.export import export_dataset

    show_counts(export_dataset(**{name: value for name, value in vars(options).items() if name != "command"}))


def _lr_find(options):
    train, arguments = _recipe(options)
    output = _output(arguments.pop("output"))
    test = train.find_lr(**arguments)
    plots.save(test.plot(), output)
    test.to_csv(output.with_suffix(".csv"))
    for name, rate in test.suggestions.items():
        print(f"{name + ':':14}{rate:.3g}")
    if not test.suggestions:
        print(f"no suggestion: the loss diverged after {len(test.rates)} of {test.steps} steps. Lower --min-lr.")
    print(output)


def _sweep(options):
    train, arguments = _recipe(options)
    sweeps.run(train, arguments)


def _output(path):
    """The path, where it can be written: said before the work, not after it."""
    path = pathlib.Path(path)
    if not path.parent.is_dir():
        raise ValueError(f"Cannot write {path}: there is no folder {path.parent}.")
    return path


def _recipe(options):
    """The recipe that the options name, and its arguments."""
    arguments = vars(options)
    train = load_recipe(arguments.pop("recipe"))
    arguments.pop("command")
    arguments.pop("resume", None)
    if arguments.pop("demo"):
        if arguments.setdefault("experiment", "demo") != "demo":
            raise ValueError("--demo is the experiment demo: leave out --experiment, or --demo.")
        check_name("experiment", "demo", train.experiments)
    return train, arguments


def _list(options):
    _import_keras()
    tables.show_models(options.name)
    tables.show_recipes(options.name)


def _plot(options):
    from recipes.reporting.report import read_history

    histories = {}
    for run in map(pathlib.Path, options.runs):
        if not (run / "history.csv").is_file():
            raise ValueError(f"{run} holds no history.csv. Give the folder of a run.")
        histories[run.name] = read_history(run)
    if options.last is not None and not options.comparison:
        raise ValueError("--last goes with --comparison.")
    figure = plots.plot_comparison(histories, options.last) if options.comparison else plots.plot_runs(histories)
    plots.save(figure, options.output)
    print(options.output)


def _preview(options):
    _import_keras()
    from recipes.reporting.preview import plot_preview

    output = _output(options.output)
    plots.save(plot_preview(options.images, options.size, options.seed), output)
    print(options.output)


def _summary(options):
    _import_keras()
    import zoo

    check_name("model", options.model, zoo.list_models())
    arguments = {"classes": options.classes, "input_shape": options.input_shape}
    model = getattr(zoo, options.model)(**{name: value for name, value in arguments.items() if value is not None})
    model.summary(line_length=100)


def _import_keras():
    """Import Keras without the greeting of TensorFlow, which is written before it reads its log level."""
    if "keras" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    stderr = os.dup(2)
    with pathlib.Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        import keras  # noqa: F401
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


if __name__ == "__main__":
    sys.exit(main())
