"""One run of a recipe: its settings, its folder, its record."""

import contextlib
import datetime
import pathlib
import shutil
import tempfile

from recipes.atomic import leftovers
from recipes.atomic import write_atomically
from recipes.reporting import plots
from recipes.reporting.detection import DetectionEvaluation
from recipes.reporting.detection_files import file_images
from recipes.reporting.detection_files import write_detections
from recipes.reporting.evaluation import write_evaluation
from recipes.reporting.metrics import METHODS
from recipes.reporting.metrics import Evaluation
from recipes.reporting.records import Record
from recipes.training import faults
from recipes.training import session
from recipes.training.clock import Clock
from recipes.training.devices import choose_devices
from recipes.training.phases import Phases
from recipes.training.request import PATHS
from recipes.training.request import STATE
from recipes.training.request import write_request
from recipes.training.state import Interrupted
from recipes.training.tracking import EVENTS
from recipes.training.tracking import TensorBoardLogger
from recipes.training.tracking import WandbLogger
from recipes.training.tracking import check_project

_WRITERS = {  # of each kind of evaluation, and the images that its pictures show
    Evaluation: (write_evaluation, lambda dataset: dataset.validation_images),
    DetectionEvaluation: (write_detections, lambda dataset: file_images(dataset.validation.paths)),
}


class Run:
    """The settings of a training while it lasts, and the folder that it leaves.

    A context manager: inside, seeds and dtype policy are set; afterwards they are as they were.
    The folder is made when training begins, and a run that has finished has a `record.json` in it. Until then
    there is a folder `state` in it, from which `recipes.resume` goes on.

    Args:
        recipe: str.
        experiment: str.
        arguments: dict. The hyperparameters.
        experiments: dict of name to `Experiment`.
        seed: int.
        precision: str.
        jit_compile: bool or None.
        runs: str. Folder in which the folder of this run is made.
        quiet: bool.
        tensorboard: bool. Defaults to True.
        wandb: str, a project, or None. Defaults to None.
        save_seconds: float. Seconds from one state of the training that is saved to the next. Defaults to 300.
        save_steps: int or None. Steps likewise; what is sooner counts. Several workers save together, and look at
            no clock: without steps, when an epoch ends. Defaults to None.
        on_nan: "stop" or "resume". Defaults to "stop".
        deterministic: bool. Defaults to False.
        devices: int or str, as `recipes.training.devices.choose_devices` takes it. Of several workers the first
            one leaves a folder, shows progress and logs to wandb. Defaults to "auto".
        request: dict. All arguments of the recipe, with which it would be called again. Defaults to None.
        folder: path of the folder of a run to go on with, or None for a new one. Defaults to None.

    Raises:
        ValueError: if wandb is asked for and is not installed; if there are no such devices, or they
            cannot share a batch; or for intervals that are none.

    Example:

    >>> from recipes.training.recipe import Experiment
    >>> options = {"seed": 1, "precision": "float32", "jit_compile": False, "runs": "runs", "quiet": True}
    >>> with Run("cifar10_davidnet", "trial", {"epochs": 2}, {"trial": Experiment({})}, **options) as run:
    ...     run.record.arguments
    {'epochs': 2}
    """

    def __init__(
        self,
        recipe,
        experiment,
        arguments,
        experiments,
        seed,
        precision,
        jit_compile,
        runs,
        quiet,
        tensorboard=True,
        wandb=None,
        save_seconds=300.0,
        save_steps=None,
        on_nan="stop",
        deterministic=False,
        devices="auto",
        request=None,
        folder=None,
    ):
        self.clock = Clock()
        self.devices = choose_devices(devices)  # first: later it is too late
        jit_compile = None if folder is not None and self.devices.several else jit_compile  # of another number
        self.devices.check(arguments.get("batch_size"), jit_compile)
        if not self.devices.writes:
            quiet, tensorboard, wandb = True, False, None
        goes_on = folder is not None
        self._phases = Phases(self.devices, self.clock, quiet, save_seconds, save_steps, on_nan, goes_on)
        self._request = dict(request or {"experiment": experiment, **arguments})
        self._resumed, self._trackers = goes_on, None
        self.tensorboard, self.wandb, self._wandb_logger = tensorboard, wandb, None
        if wandb is not None:
            check_project(wandb)
        self.seed, self.quiet, self.deterministic = seed, quiet, deterministic
        self.policy = session.choose_policy(precision)
        self.jit_compile = session.choose_jit_compile(jit_compile, self.devices)
        self.runs = pathlib.Path(runs)
        self.folder = None if folder is None else pathlib.Path(folder)
        self.record = Record(
            recipe=recipe,
            experiment=experiment,
            documented=experiments[experiment].documented,
            arguments={name: _without_folders(name, value) for name, value in arguments.items()},
            seed=seed,
            precision=self.policy,
            jit_compile=self.jit_compile,
            date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            device=session.describe_device(self.devices),
            versions=session.describe_versions(),
        )

    def __enter__(self):
        self._stack = contextlib.ExitStack()
        if not self.devices.writes:
            self.runs = pathlib.Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
            if self._resumed:
                self.folder = pathlib.Path(shutil.copytree(self.folder, self.runs / self.folder.name))
        elif self._resumed:
            for part in leftovers(self.folder):  # of a process that was killed while it wrote
                part.unlink(missing_ok=True)
        self._stack.enter_context(session.session(self.seed, self.policy, self.devices, self.deterministic))
        return self

    def __exit__(self, kind, error, traceback):
        if isinstance(error, Exception) and self.devices.writes and self.folder is not None and self.folder.is_dir():
            faults.note(error, self.folder)
        self._phases.stop()
        if self._wandb_logger is not None:
            self._wandb_logger.finish(failed=kind is not None)
        self._stack.close()
        if kind is KeyboardInterrupt and self.folder is not None:
            raise Interrupted(self.folder)

    def fit(self, model, data, *, epochs, steps_per_epoch, initial_epoch=0, callbacks=(), **arguments):
        """Make the folder, and train: the model's `fit`, with the callbacks that every run has.

        These put the learning rate into the history, the history into `history.csv`, for TensorBoard into
        `history.tfevents`, where asked to wandb, and keep seconds and progress. Called again, with
        `initial_epoch`, it goes on in all of them: another phase of the training, perhaps of another model.

        Args:
            model: a compiled `keras.Model`.
            data: `tf.data.Dataset` or `keras.utils.PyDataset` of training batches; or
                `recipes.training.memory.InMemoryData`, which many steps at a time are trained on.
            epochs: int. The epoch to end before.
            steps_per_epoch: int; or, of data in memory, a list of ints, where epochs differ.
            initial_epoch: int. The epoch to begin with. Defaults to 0.
            callbacks: further callbacks. Those that measure, and say so by an attribute `measures = True`, come
                before those of the run, so that what they measure is shown and written. Defaults to none.
            **arguments: of `keras.Model.fit`; for data in memory, of `recipes.training.memory.fit`.

        Returns:
            The `keras.callbacks.History`, of all phases.

        Raises:
            ValueError: if the folder cannot be made, or wandb cannot begin a run.
            NonFiniteLoss: at the step whose loss is no finite number; as all errors it says what there is of the run.
        """
        steps_per_epoch = self.devices.steps(data, steps_per_epoch)
        if self.folder is None:
            self.folder = self._make_folder()
            write_request(self.folder, self.record, self._request)
        if self._trackers is None:
            self._trackers = self._make_trackers()
        arguments |= {"epochs": epochs, "steps_per_epoch": steps_per_epoch, "initial_epoch": initial_epoch}
        return self._phases.fit(self.folder, self._trackers, model, data, callbacks=callbacks, **arguments)

    def finish(self, model, history, dataset, learning_rates, samples, metrics=None, evaluation=None, preparation=None):
        """Write the folder: the model, pictures, tables of the evaluation, and last the record.

        Args:
            model: the trained `keras.Model`.
            history: the `keras.callbacks.History` of `fit`.
            dataset: a `recipes.data.dataset.Dataset`, or a `recipes.data.detection.DetectionDataset`.
            learning_rates: list of floats, one for each step.
            samples: `(images, titles)` as the model was shown them.
            metrics: dict of name to float. Further final figures. Defaults to None.
            evaluation: a `recipes.reporting.metrics.Evaluation` of the validation images, in their order,
                by the model as it is saved. Its figures are among the final ones as `val_aca`, `val_mca` and
                `val_recall/CLASS`, their intervals beside them. Or a
                `recipes.reporting.detection.DetectionEvaluation`: `val_AP` and so on. Defaults to None.
            preparation: a `recipes.data.preparation.Preparation`, or a `DetectionPreparation`, with which
                `zoo eval` and `zoo predict` make images ready for the model. Defaults to None.

        Returns:
            The `Record`, with model and history.
        """
        record = self.record
        record.model, record.history, record.folder = model, history.history, self.folder
        record.parameters = model.count_params()
        record.data = dataset.describe()
        record.epochs = len(history.epoch)
        final = {name: float(values[-1]) for name, values in record.history.items()}
        record.metrics = {"final": {**final, **(metrics or {})}}
        if self._phases.learning_rate_factor != 1:
            record.metrics["learning_rate_factor"] = self._phases.learning_rate_factor
        for name in ("val_accuracy", "val_AP"):
            if name in record.history:
                best = max(range(record.epochs), key=record.history[name].__getitem__)
                record.metrics["best"] = {"epoch": best + 1, name: float(record.history[name][best])}
        with write_atomically(self.folder / "model.keras") as part:
            model.save(part)  # first: whatever fails after it can be made again
        if preparation is not None:
            preparation.write(self.folder)
        if evaluation is not None:
            self._keep(evaluation, dataset)
        plots.save(plots.plot_history(record.history), self.folder / "curves.png")
        plots.save(plots.plot_learning_rate(learning_rates, record.epochs), self.folder / "learning_rate.png")
        plots.save(plots.plot_images(*samples), self.folder / "samples.png")
        images = record.arguments["batch_size"] * len(learning_rates)
        record.seconds = {name: round(value, 2) for name, value in self.clock.seconds.items()}
        record.seconds["total"] = round(self.clock.total, 2)
        record.images_per_second = round(images / self.clock.seconds["train"], 1)
        record.write(self.folder / "record.json")
        shutil.rmtree(self.folder / STATE, ignore_errors=True)
        if self._wandb_logger is not None:
            self._wandb_logger.finish(record.metrics["final"])
        return record

    def _keep(self, evaluation, dataset):
        """Put an evaluation into the record and the folder."""
        figures, intervals = evaluation.metrics(), evaluation.intervals()
        self.record.metrics["final"] |= {f"val_{name}": value for name, value in figures.items()}
        if intervals:
            self.record.metrics["intervals"] = {f"val_{name}": list(ends) for name, ends in intervals.items()}
            self.record.metrics["interval_methods"] = METHODS
        write, images = _WRITERS[type(evaluation)]
        write(self.folder, evaluation, images(dataset), f"{self.record.recipe}, {self.record.experiment}")

    def _make_trackers(self):
        """Callbacks for TensorBoard and wandb, as far as they are asked for."""
        trackers = [TensorBoardLogger(self.folder / EVENTS)] if self.tensorboard else []
        if self.wandb is None:
            return trackers
        if self._wandb_logger is not None:
            return [*trackers, self._wandb_logger]  # another phase of the same run
        known = ("recipe", "experiment", "seed", "precision", "device", "versions")
        config = self.record.arguments | {name: getattr(self.record, name) for name in known}
        try:
            self._wandb_logger = WandbLogger(self.wandb, self.folder.name, self.folder, config, self.quiet)
        except ValueError:
            if not self._resumed:
                shutil.rmtree(self.folder)  # nothing half-done
            raise
        return [*trackers, self._wandb_logger]

    def _make_folder(self):
        time = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        name = f"{self.record.recipe}-{self.record.experiment}-seed{self.seed}-{time}"
        for attempt in range(1000):
            folder = self.runs / (name + (f"-{attempt}" if attempt else ""))
            try:
                folder.mkdir(parents=True)
                return folder
            except FileExistsError as error:
                if not folder.is_dir():  # a parent is a file
                    raise ValueError(f"`runs` must be a folder. Received: runs={str(self.runs)!r}") from error
            except OSError as error:
                raise ValueError(f"Cannot make {folder}: {error.strerror}. Give another folder as `runs`.") from error
        raise ValueError(f"{self.runs} holds too many runs of this second. Received: runs={str(self.runs)!r}")


def _without_folders(name, value):
    """Records travel: of a path they keep the last part alone."""
    return pathlib.Path(value).name if value and name.endswith(PATHS) else value
