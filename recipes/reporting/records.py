"""Records of runs: what was asked, on what, and what came out."""

import dataclasses
import json
import pathlib

from recipes.atomic import write_text
from recipes.data.texts import read_json

_IN_MEMORY = ("model", "history", "folder")
_KINDS = {"recipe": str, "experiment": str, "documented": str, "arguments": dict, "data": dict, "metrics": dict}
_KINDS |= {"seconds": dict, "versions": dict, "seed": int, "epochs": int, "device": str, "date": str, "precision": str}


@dataclasses.dataclass
class Record:
    """What a run leaves as `record.json`, and a recipe returns.

    Args:
        recipe: str.
        experiment: str.
        documented: str. The figure that the source of the experiment states.
        arguments: dict. The hyperparameters; of folders their names only.
        seed: int.
        precision: str. The dtype policy.
        jit_compile: bool.
        date: str. Of the start, in UTC.
        device: str.
        versions: dict of package to version, and the backend.
        data: dict of name, sizes and fingerprint.
        parameters: int.
        epochs: int.
        seconds: dict of setup, compile, train, evaluate and total.
        images_per_second: float. While it trained.
        metrics: dict of final and best figures.
        model: the trained `keras.Model`; not in the file.
        history: dict of metric to a list with a value for each epoch; not in the file.
        folder: path of the run; not in the file.

    Example:

    >>> Record(recipe="cifar10_davidnet", experiment="ours").recipe
    'cifar10_davidnet'
    """

    recipe: str
    experiment: str
    documented: str = ""
    arguments: dict = dataclasses.field(default_factory=dict)
    seed: int = 0
    precision: str = ""
    jit_compile: bool = False
    date: str = ""
    device: str = ""
    versions: dict = dataclasses.field(default_factory=dict)
    data: dict = dataclasses.field(default_factory=dict)
    parameters: int = 0
    epochs: int = 0
    seconds: dict = dataclasses.field(default_factory=dict)
    images_per_second: float = 0.0
    metrics: dict = dataclasses.field(default_factory=dict)
    model: object = dataclasses.field(default=None, repr=False)
    history: dict = dataclasses.field(default=None, repr=False)
    folder: pathlib.Path = None

    def to_dict(self):
        """The fields of the file.

        Returns:
            dict.
        """
        fields = (field.name for field in dataclasses.fields(self))
        return {name: getattr(self, name) for name in fields if name not in _IN_MEMORY}

    def write(self, path):
        """Write the file, whole or not at all.

        Args:
            path: a `pathlib.Path`.
        """
        write_text(path, json.dumps(self.to_dict(), indent=2) + "\n")


def read_record(path):
    """Read a record.

    Args:
        path: of the file, or of the folder of a run.

    Returns:
        A `Record`, without model and history.

    Raises:
        ValueError: if there is no record, or the file is none.

    Example:

    >>> len(measured()) == len([read_record(path) for path in results()])
    True
    """
    path = pathlib.Path(path)
    path = path / "record.json" if path.is_dir() else path
    if not path.is_file():
        raise ValueError(f"{path} does not exist. Give the folder of a finished run.")
    try:
        fields = read_json(path)
        record = Record(**{name: value for name, value in fields.items() if name not in _IN_MEMORY})
        for name, kind in _KINDS.items():
            if not isinstance(getattr(record, name), kind):
                raise TypeError(f"its {name} must be of type {kind.__name__}: {getattr(record, name)!r:.100}")
        return record
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no record of a run ({error}).") from error


def results():
    """The records that the package carries.

    Returns:
        A sorted list of paths.

    Example:

    >>> {path.suffix for path in results()}
    {'.json'}
    """
    return sorted((pathlib.Path(__file__).parents[1] / "results").glob("*.json"))


def measured():
    """Read the records that the package carries.

    Returns:
        A list of `Record`.

    Example:

    >>> sum(record.epochs for record in measured()) > 0
    True
    """
    return [read_record(path) for path in results()]
