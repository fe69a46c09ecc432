"""`zoo eval`, `zoo predict` and `zoo explain` for runs that classify; what they refuse."""

import pathlib

from recipes.reporting import explanation_commands
from recipes.reporting import plots
from recipes.reporting import tables
from recipes.reporting.evaluation import check_outputs

BATCH_SIZE = 64
_OF_DETECTORS = "is for detectors: this run classifies. Leave it out."
REFUSED = {
    **dict.fromkeys(("annotations", "pictures", "threshold"), _OF_DETECTORS),
    "export": "is for detectors: this run classifies. Load its model.keras, and call `export`.",
}
_PICTURES = 64


def evaluate(options):
    """Evaluate the model of a run: `zoo eval`.

    Args:
        options: argparse.Namespace, of the command.

    Raises:
        ValueError: as `recipes.training.prediction.evaluate_run`.

    Example:

    >>> import argparse
    >>> evaluate(argparse.Namespace(submission="nowhere/kaggle.csv"))
    Traceback (most recent call last):
    ValueError: Cannot write nowhere/kaggle.csv: there is no folder nowhere.
    """
    from recipes.reporting.evaluation import read_evaluation
    from recipes.reporting.evaluation import write_folder
    from recipes.training.prediction import evaluate_run

    check_outputs(options.submission)
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


def predict(options):
    """Predict the classes of images: `zoo predict`.

    Args:
        options: argparse.Namespace, of the command.

    Raises:
        ValueError: as `recipes.training.file_prediction.predict_files`.

    Example:

    >>> import argparse
    >>> predict(argparse.Namespace(output="nowhere/predictions.csv", picture=None, submission=None))
    Traceback (most recent call last):
    ValueError: Cannot write nowhere/predictions.csv: there is no folder nowhere.
    """
    from recipes.data.preparation import read_preparation
    from recipes.reporting.evaluation import plot_predictions
    from recipes.reporting.evaluation import write_table
    from recipes.training.file_prediction import predict_files
    from recipes.training.prediction import find_images

    check_outputs(options.output, options.picture, options.submission)
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


def explain(options):
    """Show what the network looks at in images: `zoo explain`.

    Args:
        options: argparse.Namespace, of the command.

    Raises:
        ValueError: as `recipes.reporting.explanation_commands.explain`.

    Example:

    >>> import argparse
    >>> explain(argparse.Namespace(run="nowhere"))
    Traceback (most recent call last):
    ValueError: nowhere does not exist. Give the folder of a finished run.
    """
    explanation_commands.explain(options)


def _same_files(first, second):
    """Whether two evaluations have the same images, by folder and name; also where that is not known."""
    if second is None or first.paths is None:
        return True
    first, second = ({pathlib.PurePath(path).parts[-2:] for path in each.paths} for each in (first, second))
    return first == second


def _write_submission(options, evaluation, ids):
    from recipes.reporting.evaluation import write_submission

    if not options.submission:
        return
    parts = {"path": str, "file": lambda path: pathlib.Path(path).name, "stem": lambda path: pathlib.Path(path).stem}
    ids = None if ids is None else list(map(parts[options.id_as], ids))
    write_submission(options.submission, evaluation, options.id_column, options.label_column, options.label_as, ids)
    print(options.submission)
