"""The commands of the command line for runs that are finished: `zoo eval`, `predict`, `explain`, `report`, `export`."""

import functools
import pathlib

from recipes.data.detection_preparation import DetectionPreparation
from recipes.data.preparation import FILE
from recipes.data.preparation import Preparation
from recipes.data.preparation import read_preparation
from recipes.reporting import classification_commands
from recipes.reporting import detection_commands

_KINDS = {Preparation: classification_commands, DetectionPreparation: detection_commands}


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

    command = commands.add_parser("eval", help="metrics of a run's model on its data, with intervals and pictures")
    command.set_defaults(command=functools.partial(_call, "evaluate", import_keras))
    _add_run(command)
    command.add_argument("--data-dir", metavar="DIR", help="folder of the data; records do not keep it")
    command.add_argument("--image-dir", metavar="DIR", help="where paths in a csv begin, besides its own folder")
    splits = ("validation", "test", "train")
    command.add_argument("--split", choices=splits, default="validation", help="default: %(default)s")
    text = "of detectors: a json of COCO's form, of images in DIR, instead of a split"
    command.add_argument("--annotations", metavar="FILE", help=text)
    _add_submission(command)

    text = "classes of images by a run's model, with probabilities, as a csv; of detectors boxes, and pictures of them"
    command = commands.add_parser("predict", help=text)
    command.set_defaults(command=functools.partial(_call, "predict", import_keras))
    _add_run(command)
    command.add_argument("images", nargs="+", metavar="IMAGES", help="image files, folders of them, csv files of paths")
    command.add_argument("--path-column", metavar="NAME", help="of the csv files (default: one with a usual name)")
    command.add_argument("--skip-bad", action="store_true", help="leave out what cannot be read, and say so")
    command.add_argument(
        "--output", default="predictions.csv", metavar="FILE", help="a csv, or of detectors COCO's json (%(default)s)"
    )
    command.add_argument("--picture", metavar="FILE", help="a grid of the first images, with what was predicted")
    text = "of detectors: a folder for every image with its boxes (default: as the output, without its ending)"
    command.add_argument("--pictures", metavar="DIR", help=text)
    _add_submission(command)

    text = "what a run's network looks at in images: Grad-CAM, feature maps and filters, as pictures"
    command = commands.add_parser("explain", help=text)
    command.set_defaults(command=functools.partial(_call, "explain", import_keras))
    _add_explanation(command)

    command = commands.add_parser("export", help="a detector as a function from images to boxes, for other programs")
    command.set_defaults(command=functools.partial(_call, "export", import_keras))
    command.add_argument("run", metavar="RUN", help="folder of a run")
    command.add_argument("--format", choices=("saved_model", "onnx"), default="saved_model", help="(%(default)s)")
    command.add_argument("--output", metavar="PATH", help="default: in the folder of the run")
    text = "so many pixels alone; without it any, but of a run whose images all had one size"
    command.add_argument("--image-size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help=text)

    command = commands.add_parser("report", help="runs as one page that needs nothing else, with all that is known")
    command.set_defaults(command=_report)
    command.add_argument("runs", nargs="+", metavar="RUN", help="folder of a run")
    command.add_argument("--output", default="report.html", metavar="FILE", help="default: %(default)s")
    command.add_argument("--title", default="", help="default: the name of the run, or how many there are")


def _add_run(command):
    command.add_argument("run", metavar="RUN", help="folder of a run")
    command.add_argument("--batch-size", type=int, metavar="INT", help="default: 64; of detectors 8")
    command.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto", help="default: %(default)s")
    command.add_argument("--threshold", type=float, metavar="FLOAT", help="of detectors: least score drawn (0.3)")


def _add_explanation(command):
    command.add_argument("run", metavar="RUN", help="folder of a run")
    text = "image files, folders, csv files of paths; without any, images of the run's own data"
    command.add_argument("images", nargs="*", metavar="IMAGES", help=text)
    command.add_argument("--layer", metavar="NAME", help="default: the last one before pooling; a wrong name lists all")
    text = "of Grad-CAM (default: the predicted one, and the true one or the second)"
    command.add_argument("--class", dest="class_name", metavar="NAME", help=text)
    command.add_argument("--count", type=int, default=8, metavar="INT", help="images, from all over them (%(default)s)")
    command.add_argument("--data-dir", metavar="DIR", help="folder of the run's data, where no images are given")
    command.add_argument("--image-dir", metavar="DIR", help="where paths in a csv begin, besides its own folder")
    splits = ("validation", "test", "train")
    command.add_argument("--split", choices=splits, default="validation", help="of the run's data (%(default)s)")
    command.add_argument("--path-column", metavar="NAME", help="of csv files (default: one with a usual name)")
    command.add_argument("--skip-bad", action="store_true", help="leave out what cannot be read, and say so")
    command.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto", help="default: %(default)s")
    text = "a folder; the report shows what is in the default, `explanation` in that of the run"
    command.add_argument("--output", metavar="DIR", help=text)


def _add_submission(command):
    command.add_argument("--submission", metavar="FILE", help="a csv of two columns besides, as Kaggle wants it")
    command.add_argument("--id-column", default="Path", metavar="NAME", help="its first heading (default: %(default)s)")
    command.add_argument("--label-column", default="label", metavar="NAME", help="its second (default: %(default)s)")
    command.add_argument("--label-as", choices=("number", "name"), default="number", help="default: %(default)s")
    command.add_argument("--id-as", choices=("path", "file", "stem"), default="path", help="default: %(default)s")


def _call(name, import_keras, options):
    """Do a command of the kind of run, unless the kind refuses it, or one of the options."""
    kind = _kind(options.run)
    refused = [f"zoo {name} {kind.REFUSED[name]}"] if name in kind.REFUSED else []
    given = [option for option, value in vars(options).items() if option in kind.REFUSED and value is not None]
    refused += [f"--{option} {kind.REFUSED[option]}" for option in given]
    if refused:
        raise ValueError(refused[0])
    if getattr(options, "batch_size", kind) is None:
        options.batch_size = kind.BATCH_SIZE
    import_keras()
    getattr(kind, name)(options)


def _kind(run):
    """The module of the commands for what a run was trained to do, which its preparation says."""
    folder = pathlib.Path(run)
    if not folder.is_dir():
        raise ValueError(f"{run} does not exist. Give the folder of a finished run.")
    return _KINDS[type(read_preparation(folder)) if (folder / FILE).is_file() else Preparation]


def _report(options):
    from recipes.reporting.evaluation import check_outputs
    from recipes.reporting.evaluation import write_text
    from recipes.reporting.report import report

    check_outputs(options.output)
    write_text(report(options.runs, options.title), options.output)
    print(options.output)
