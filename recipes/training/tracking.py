"""What follows a training beside its `history.csv`: TensorBoard's event files, and Weights & Biases."""

import keras

from recipes.training.event_file import append_scalars

EVENTS = "history.tfevents"
HISTORY = "history.csv"


class HistoryTable(keras.callbacks.CSVLogger):
    """Keras's table of the epochs, whose columns stay as they are when a training goes on in the middle of it.

    Args:
        filename: str.
        append: bool. Whether to go on with the file, if there is one. Defaults to False.

    Example:

    >>> HistoryTable("history.csv").get_state()
    {'keys': None}
    """

    def __init__(self, filename, append=False):
        super().__init__(filename, append=append)

    def get_state(self):
        """The columns.

        Returns:
            dict.
        """
        return {"keys": self.keys}

    def set_state(self, state):
        """Go on with these columns.

        Args:
            state: dict, of `get_state`.
        """
        self.keys = state["keys"]


class TensorBoardLogger(keras.callbacks.Callback):
    """Write the figures of each epoch to an event file, on any backend; epochs count from 1.

    `keras.callbacks.TensorBoard` needs TensorFlow. Here the file is complete after every epoch.

    Args:
        path: path of the file; TensorBoard wants "tfevents" in its name.

    Example:

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), EVENTS)
    >>> TensorBoardLogger(path).on_epoch_end(0, {"loss": 0.5})
    >>> path.exists()
    True
    """

    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_epoch_end(self, epoch, logs=None):
        append_scalars(self.path, epoch + 1, {name: float(value) for name, value in (logs or {}).items()})


class WandbLogger(keras.callbacks.Callback):
    """Log the figures of each epoch to a run of Weights & Biases; epochs count from 1.

    wandb's own callbacks for Keras need TensorFlow. With `WANDB_MODE=offline` in the environment nothing
    is sent: `wandb sync` does it later.

    Args:
        project: str, "PROJECT" or "ENTITY/PROJECT".
        name: str. Name of the run.
        folder: path of a folder, in which wandb keeps its files.
        config: dict. Hyperparameters. Defaults to None.
        quiet: bool. Whether wandb prints nothing. Defaults to False.

    Raises:
        ValueError: if wandb is not installed, the project is none, or the run cannot be begun.

    Example:

    >>> WandbLogger("a/b/c", "run", "folder")
    Traceback (most recent call last):
    ValueError: `wandb` must be "PROJECT" or "ENTITY/PROJECT". Received: wandb='a/b/c'
    """

    def __init__(self, project, name, folder, config=None, quiet=False):
        super().__init__()
        entity, project = check_project(project)
        import wandb

        settings = wandb.Settings(silent=quiet, console="off")  # it would take over what is printed
        try:
            self.run = wandb.init(
                entity=entity, project=project, name=name, dir=str(folder), config=config, settings=settings
            )
        except wandb.errors.Error as error:
            raise ValueError(
                f"wandb cannot begin a run: {error} Log in by `wandb login`, or set WANDB_MODE=offline."
            ) from error

    def on_epoch_end(self, epoch, logs=None):
        self.run.log({name: float(value) for name, value in (logs or {}).items()}, step=epoch + 1)

    def finish(self, metrics=None, failed=False):
        """End the run; after that, nothing more happens.

        Args:
            metrics: dict of name to float. The final figures. Defaults to None.
            failed: bool. Whether the training did not come to its end. Defaults to False.
        """
        run, self.run = self.run, None
        if run is not None:
            run.summary.update(metrics or {})
            run.finish(exit_code=int(failed))


def check_project(project):
    """Refuse what is no project, and find out whether wandb is there.

    Args:
        project: str.

    Returns:
        `(entity, project)`; the entity is None for that of the user.

    Raises:
        ValueError: if either is not so.

    Example:

    >>> check_project("")
    Traceback (most recent call last):
    ValueError: `wandb` must be "PROJECT" or "ENTITY/PROJECT". Received: wandb=''
    """
    entity, _, name = project.rpartition("/")
    if not name or "/" in entity or project.startswith("/"):
        raise ValueError(f'`wandb` must be "PROJECT" or "ENTITY/PROJECT". Received: wandb={project!r}')
    try:
        from wandb import init  # noqa: F401 - a folder of that name is no package
    except ImportError as error:
        raise ValueError("Logging to wandb needs it. Install it: python -m pip install wandb") from error
    return entity or None, name
