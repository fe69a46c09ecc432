"""The trials of a sweep in an Optuna storage: which there are to be, who runs them, what became of them.

A cell is one setting with one seed. All cells that are planned stand in the storage as trials that
wait; whoever runs a sweep takes one of them under a lock, with its name on it. Its name is a file
that it keeps locked: when it ends, however it ends, its running trials are known to be lost, and
their cells are planned again.
"""

import uuid

from recipes.trials.locks import Lock
from recipes.trials.locks import is_held
from recipes.trials.process import read_outcome
from recipes.trials.proposals import propose
from recipes.trials.space import distributions
from recipes.trials.space import grid
from recipes.trials.space import size
from recipes.trials.storage import open_storage


class Study:
    """The trials of a sweep.

    A context manager: inside, this process can take trials.

    Args:
        folder: a `pathlib.Path`, that exists.
        settings: a `Settings`.

    Example:

    >>> import pathlib, tempfile
    >>> from recipes.trials.settings import example
    >>> with Study(pathlib.Path(tempfile.mkdtemp()), example()) as study:
    ...     trial = study.take()
    ...     trial.params, study.seed(trial), study.wanted()
    ({'x': 1}, 0, 4)
    """

    def __init__(self, folder, settings):
        self.folder, self.settings = folder, settings
        self.lock = Lock(folder / ".lock")
        self._owners = folder / ".owners"
        self._owner = uuid.uuid4().hex

    def __enter__(self):
        with self.lock:
            self._open(self.settings.claim(self.folder))
            self._owners.mkdir(exist_ok=True)
            self._ownership = Lock(self._owners / self._owner)
            self._ownership.acquire()
        return self

    def __exit__(self, *error):
        self._ownership.path.unlink()
        self._ownership.release()

    def _open(self, name):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.storage = open_storage(self.folder / self.settings.storage)
        self.study = optuna.create_study(
            storage=self.storage,
            study_name=name,
            direction=self.settings.direction,
            pruner=_pruner(self.settings),
            load_if_exists=True,
        )
        if not self.study.get_trials(deepcopy=False) and any(self.folder.glob("trials/*")):
            raise ValueError(
                f"{self.folder} holds trials, but {self.settings.storage} knows none of them. Put their storage back, "
                "or delete the folder."
            )

    @property
    def trials(self):
        """The trials that were not lost.

        Returns:
            A list of `optuna.trial.FrozenTrial`, by number.
        """
        given_up = self.study.user_attrs.get("given_up", [])
        trials = self.study.get_trials(deepcopy=False)
        return [each for each in trials if not each.user_attrs.get("lost") and each.number not in given_up]

    def retry_failed(self):
        """Plan the cells of trials that failed once more."""
        with self.lock:
            given_up = self.study.user_attrs.get("given_up", [])
            self.study.set_user_attr("given_up", given_up + [trial.number for trial in self._in_state("FAIL")])

    def take(self):
        """Take a cell that nobody has run or runs.

        Returns:
            An `optuna.trial.FrozenTrial`, that runs from now on; None if there is none.
        """
        from optuna.trial import TrialState

        with self.lock:
            self._recover()
            self._plan()
            trial = min(self._in_state("WAITING"), key=_turn, default=None)
            if trial is not None:
                self.storage.set_trial_state_values(self._id(trial), TrialState.RUNNING)
                self.storage.set_trial_user_attr(self._id(trial), "owner", self._owner)
            return trial

    def wanted(self):
        """How many trials there will be.

        Returns:
            int.
        """
        settings, count = self.settings, size(self.settings.space)
        return settings.repeats * (count if settings.search == "grid" else min(count, settings.trials))

    def is_complete(self):
        """Whether every cell has been run to its end.

        Returns:
            bool. False while another process runs one.
        """
        return not self._in_state("WAITING", "RUNNING")

    def folder_of(self, trial):
        """Where a trial keeps its files.

        Args:
            trial: an `optuna.trial.FrozenTrial`.

        Returns:
            A `pathlib.Path`.
        """
        return self.folder / "trials" / f"{trial.number:04}"

    def seed(self, trial):
        """The seed of a trial.

        Args:
            trial: an `optuna.trial.FrozenTrial`.

        Returns:
            int.
        """
        return self.settings.seed + trial.user_attrs["repeat"]

    def report(self, trial, epoch, value):
        """Note the metric of an epoch.

        Args:
            trial: an `optuna.trial.FrozenTrial`.
            epoch: int, from 1.
            value: float.

        Returns:
            bool. Whether the trial should be pruned.
        """
        self.storage.set_trial_intermediate_value(self._id(trial), epoch, value)
        if epoch <= self.settings.pruner_warmup:
            return False
        return self.study.pruner.prune(self.study, self.storage.get_trial(self._id(trial)))

    def finish(self, trial, outcome, seconds=None):
        """Note what became of a trial.

        Args:
            trial: an `optuna.trial.FrozenTrial`.
            outcome: an `Outcome`.
            seconds: float, or None. Defaults to None.
        """
        from optuna.trial import TrialState

        self._note(trial, error=outcome.error, seconds=seconds)
        if outcome.value is None:
            self.study.tell(trial.number, state=TrialState.FAIL)
        else:
            self.study.tell(trial.number, outcome.value)

    def prune(self, trial, seconds):
        """Note that a trial was ended because others were better.

        Args:
            trial: an `optuna.trial.FrozenTrial`.
            seconds: float.
        """
        from optuna.trial import TrialState

        self._note(trial, seconds=seconds)
        self.study.tell(trial.number, state=TrialState.PRUNED)

    def lose(self, trial):
        """Note that a trial came to no end, and its cell is to be run again.

        Args:
            trial: an `optuna.trial.FrozenTrial`.
        """
        from optuna.trial import TrialState

        if not self.storage.get_trial(self._id(trial)).state.is_finished():
            self._note(trial, lost=True)
            self.study.tell(trial.number, state=TrialState.FAIL)

    def _note(self, trial, **notes):
        for name, value in notes.items():
            self.storage.set_trial_user_attr(self._id(trial), name, value)

    def _id(self, trial):
        study = self.storage.get_study_id_from_name(self.study.study_name)
        return self.storage.get_trial_id_from_study_id_trial_number(study, trial.number)

    def _recover(self):
        """End the trials of processes that have ended: by their result, if they could still write it."""
        settings = self.settings
        for trial in self._in_state("RUNNING"):
            owner = trial.user_attrs.get("owner")  # None: it ended before it could say who it is
            if owner and is_held(self._owners / owner):
                continue
            outcome = read_outcome(self.folder_of(trial), settings.metric, settings.value, settings.direction)
            if outcome is None:
                self.lose(trial)
            else:
                self.finish(trial, outcome)
        for path in self._owners.iterdir():
            if not is_held(path):
                path.unlink(missing_ok=True)

    def _plan(self):
        """Make trials of the cells that have none."""
        settings = self._settings()
        missing = self._missing(settings)
        if self.settings.search == "bayesian" and not missing and not self._in_state("WAITING"):
            settings = self._draw(settings, len(settings) + 1)
            missing = self._missing(settings)
        for number, repeat in missing:
            self._add(settings[number], number, repeat)

    def _settings(self):
        """The settings that can be known before more trials have ended; those of lost trials too."""
        if self.settings.search == "grid":
            settings = grid(self.settings.space)
        else:
            proposed = {trial.user_attrs["setting"]: trial.params for trial in self.study.get_trials(deepcopy=False)}
            settings = [proposed[number] for number in sorted(proposed)]
            if self.settings.search == "random":
                settings = self._draw(settings, self.settings.trials)
        return settings

    def _missing(self, settings):
        """First each setting once, then each once more."""
        planned = {(trial.user_attrs["setting"], trial.user_attrs["repeat"]) for trial in self.trials}
        cells = [(number, repeat) for repeat in range(self.settings.repeats) for number in range(len(settings))]
        return [cell for cell in cells if cell not in planned]

    def _draw(self, settings, count):
        settings = list(settings)
        while len(settings) < min(count, self.settings.trials):
            new = propose(self.settings, settings, self.trials)
            if new is None:
                break
            settings.append(new)
        return settings

    def _in_state(self, *names):
        return [trial for trial in self.trials if trial.state.name in names]

    def _add(self, params, setting, repeat):
        from optuna.trial import TrialState
        from optuna.trial import create_trial

        self.study.add_trial(
            create_trial(
                state=TrialState.WAITING,
                params=params,
                distributions=distributions(self.settings.space),
                user_attrs={"setting": setting, "repeat": repeat},
            )
        )


def _turn(trial):
    return trial.user_attrs["repeat"], trial.user_attrs["setting"]


def _pruner(settings):
    import optuna

    if settings.pruner == "median":
        return optuna.pruners.MedianPruner(n_warmup_steps=settings.pruner_warmup)
    if settings.pruner == "hyperband":
        epochs = settings.arguments.get("epochs", "auto")
        return optuna.pruners.HyperbandPruner(min_resource=max(1, settings.pruner_warmup), max_resource=epochs)
    return optuna.pruners.NopPruner()
