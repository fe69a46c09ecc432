"""The commands of the command line for runs that are finished: `zoo eval`, `zoo predict`, `zoo report`."""

import pathlib

from recipes.reporting import plots
from recipes.reporting import tables

_PICTURES = 64


def add_commands(commands, import_keras):
    """Add the commands to a command line.

    Args:
        commands: what `argparse.ArgumentParser.add_subparsers` gives.
        import_keras: function that imports Keras, called before a command that needs it.

    Example:

    >>> import argparse
    >>> parser = argparse.ArgumentParser()
    >>> add_commands(parser.add_subparsers(), import_keras=lambda: None)
    >>> parser.parse_args(["eval", "runs/1", "--split", "test"]).split
    'test'
    """

    def with_keras(function):
        def call(options):
            import_keras()
            function(options)

        return call

    command = commands.add_parser("eval", help="metrics of a run's model on its data, with intervals and pictures")
    command.set_defaults(command=with_keras(_eval))
    _add_run(command)
    command.add_argument("--data-dir", metavar="DIR", help="folder of the data; records do not keep it")
    command.add_argument("--image-dir", metavar="DIR", help="where paths in a csv begin, besides its own folder")
    splits = ("validation", "test", "train")
    command.add_argument("--split", choices=splits, default="validation", help="default: %(default)s")
    _add_submission(command)

    command = commands.add_parser("predict", help="classes of images by a run's model, with probabilities, as a csv")
    command.set_defaults(command=with_keras(_predict))
    _add_run(command)
    command.add_argument("images", nargs="+", metavar="IMAGES", help="image files, folders of them, csv files of paths")
    command.add_argument("--path-column", metavar="NAME", help="of the csv files (default: one with a usual name)")
    command.add_argument("--skip-bad", action="store_true", help="leave out what cannot be read, and say so")
    command.add_argument("--output", default="predictions.csv", metavar="FILE", help="default: %(default)s")
    command.add_argument("--picture", metavar="FILE", help=f"a grid of the first {_PICTURES} images and their classes")
    _add_submission(command)

    command = commands.add_parser("report", help="runs as one page that needs nothing else, with all that is known")
    command.set_defaults(command=_report)
    command.add_argument("runs", nargs="+", metavar="RUN", help="folder of a run")
    command.add_argument("--output", default="report.html", metavar="FILE", help="default: %(default)s")
    command.add_argument("--title", default="", help="default: the name of the run, or how many there are")


def _add_run(command):
    command.add_argument("run", metavar="RUN", help="folder of a run")
    command.add_argument("--batch-size", type=int, default=64, metavar="INT", help="default: %(default)s")
    command.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto", help="default: %(default)s")


def _add_submission(command):
    command.add_argument("--submission", metavar="FILE", help="a csv of two columns besides, as Kaggle wants it")
    command.add_argument("--id-column", default="Path", metavar="NAME", help="its first heading (default: %(default)s)")
    command.add_argument("--label-column", default="label", metavar="NAME", help="its second (default: %(default)s)")
    command.add_argument("--label-as", choices=("number", "name"), default="number", help="default: %(default)s")
    command.add_argument("--id-as", choices=("path", "file", "stem"), default="path", help="default: %(default)s")


def _eval(options):
    from recipes.reporting.evaluation import read_evaluation
    from recipes.reporting.evaluation import write_folder
    from recipes.training.prediction import evaluate_run

    _check_outputs(options.submission)
    run = pathlib.Path(options.run)
    evaluation, images = evaluate_run(
        run, options.data_dir, options.split, options.batch_size, options.device, options.image_dir
    )
    _write_submission(options, evaluation, evaluation.paths)
    folder = run / f"evaluation-{options.split}"
    write_folder(folder, evaluation, images, f"{run.name}, {options.split}")
    print(f"{len(evaluation):,} images of {options.split}" + (", without labels" if evaluation.labels is None else ""))
    if options.split == "validation" and not _same_files(evaluation, read_evaluation(run)):
        print("These are not the images that the run was validated on: it may have been trained on some of them.")
    if evaluation.labels is not None:
        tables.show_evaluation(evaluation)
    print(folder)


def _same_files(first, second):
    """Whether two evaluations have the same images, by folder and name; also where that is not known."""
    if second is None or first.paths is None:
        return True
    first, second = ({pathlib.PurePath(path).parts[-2:] for path in each.paths} for each in (first, second))
    return first == second


def _predict(options):
    from recipes.data.preparation import read_preparation
    from recipes.reporting.evaluation import plot_predictions
    from recipes.reporting.evaluation import write_table
    from recipes.training.prediction import find_images
    from recipes.training.prediction import predict_files

    _check_outputs(options.output, options.picture, options.submission)
    named = find_images(options.images, options.path_column)
    evaluation, problems = predict_files(options.run, list(named), options.batch_size, options.device, options.skip_bad)
    _write_submission(options, evaluation, [named[path] for path in evaluation.paths])
    if options.picture:
        images = read_preparation(options.run).read(evaluation.paths[:_PICTURES])
        plots.save(plot_predictions(evaluation, images, range(len(images))), options.picture)
        print(options.picture)
    write_table(evaluation.predictions(), options.output)
    for problem in problems.values():
        print(f"left out: {problem}")
    print(f"{options.output}: {len(evaluation):,} images")


def _report(options):
    from recipes.reporting.evaluation import write_text
    from recipes.reporting.report import report

    _check_outputs(options.output)
    write_text(report(options.runs, options.title), options.output)
    print(options.output)


def _check_outputs(*paths):
    """Refuse what cannot be written before the work, not after it."""
    for path in filter(None, paths):
        if not pathlib.Path(path).parent.is_dir():
            raise ValueError(f"Cannot write {path}: there is no folder {pathlib.Path(path).parent}.")


def _write_submission(options, evaluation, ids):
    from recipes.reporting.evaluation import write_submission

    if not options.submission:
        return
    parts = {"path": str, "file": lambda path: pathlib.Path(path).name, "stem": lambda path: pathlib.Path(path).stem}
    ids = None if ids is None else list(map(parts[options.id_as], ids))
    write_submission(options.submission, evaluation, options.id_column, options.label_column, options.label_as, ids)
    print(options.submission)
