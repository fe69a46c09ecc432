"""The loop that runs trials: as many at a time as asked, until none is left."""

import time

from recipes.trials.process import TrialProcess
from recipes.trials.process import read_outcome
from recipes.trials.tables import write_tables

_POLL, _IDLE = 0.1, 1.0  # seconds between looks at running trials, and at those of other processes


def run_trials(study, workers, given=("seed", "runs", "quiet"), quiet=False):
    """Run the trials of a study until all have ended, those that other processes run too.

    Args:
        study: a `recipes.trials.study.Study`.
        workers: int. Trials that run at a time.
        given: which of "seed", "runs" and "quiet" the trials take. Defaults to all.
        quiet: bool. Whether to print nothing. Defaults to False.

    Raises:
        ValueError: if a trial does not have the metric.

    Example:

    >>> import dataclasses, pathlib, tempfile
    >>> from recipes.trials.settings import example
    >>> from recipes.trials.study import Study
    >>> settings = dataclasses.replace(example(), target="builtins:dict", arguments={"loss": 0.5}, repeats=1)
    >>> with Study(pathlib.Path(tempfile.mkdtemp()), settings) as study:
    ...     run_trials(study, workers=1, given=(), quiet=True)
    ...     [trial.value for trial in study.trials]
    [0.5, 0.5]
    """
    running = {}
    try:
        while True:
            while len(running) < workers and (trial := study.take()) is not None:
                running[trial.number] = trial, _start(study, trial, given)
            if not running and study.is_complete():
                break
            for trial, process in list(running.values()):
                if _follow(study, trial, process):
                    del running[trial.number]
                    write_tables(study)
                    if not quiet:
                        _show(study, trial.number)
            time.sleep(_POLL if running else _IDLE)
    finally:
        for trial, process in running.values():
            process.end()
            study.lose(trial)
        if running:  # an error, or an interruption
            write_tables(study)


def _start(study, trial, given):
    folder = study.folder_of(trial)
    own = {"seed": study.seed(trial), "runs": str(folder), "quiet": True}
    arguments = {**study.settings.arguments, **trial.params, **{name: own[name] for name in given}}
    return TrialProcess(folder, study.settings.target, arguments, group=study.folder.name)


def _follow(study, trial, process):
    """Look after a trial that runs.

    Returns:
        bool. Whether it has ended.
    """
    settings = study.settings
    ended = process.has_ended()
    reports = process.new_reports(settings.metric)
    pruned = [study.report(trial, epoch, value) for epoch, value in reports]
    if ended:
        status = process.wait()
        outcome = read_outcome(process.folder, settings.metric, settings.value, settings.direction, status)
        study.finish(trial, outcome, process.seconds)
    elif any(pruned):
        process.end()
        study.prune(trial, process.seconds)
    else:
        return False
    return True


def _show(study, number):
    trials = study.trials
    trial = next(trial for trial in trials if trial.number == number)
    done = sum(trial.state.is_finished() for trial in trials)
    shown = {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in trial.params.items()}
    params = " ".join(f"{name}={value}" for name, value in shown.items())
    if trial.state.name == "FAIL":
        result = f"failed: {' '.join(trial.user_attrs['error'].split())}"
    else:
        result = f"{study.settings.metric} {trial.value:.4g}" + " (pruned)" * (trial.state.name == "PRUNED")
    seconds = trial.user_attrs["seconds"]
    print(f"{done}/{study.wanted()}  {params} seed={study.seed(trial)}: {result}, {seconds:.0f} s", flush=True)
