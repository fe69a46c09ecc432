"""The tables of a sweep: one row for each trial, and one for each setting over its repeats."""

from recipes.atomic import write_text


def tabulate_trials(study):
    """Every trial that was planned, with what became of it.

    Args:
        study: a `recipes.trials.study.Study`.

    Returns:
        A `pandas.DataFrame`, by setting and seed: trial, setting, state, the hyperparameters, seed,
        the metric, seconds, ended_epochs, error, folder.

    Example:

    >>> with _example() as study:
    ...     _ = study.take()
    ...     tabulate_trials(study)[["state", "x", "seed"]].head(1).to_csv(index=False).split()
    ['state,x,seed', 'running,1,0']
    """
    import pandas

    names, metric = list(study.settings.space), study.settings.metric
    rows = [_row(study, trial) for trial in study.trials]
    columns = ["setting", "trial", "state", *names, "seed", metric, "seconds", "ended_epochs", "error", "folder"]
    table = pandas.DataFrame(rows, columns=columns)
    return table.sort_values(["setting", "seed"], ignore_index=True)


def tabulate_settings(study, trials):
    """Every setting with its runs together, the best mean first.

    Args:
        study: a `recipes.trials.study.Study`.
        trials: what `tabulate_trials` gives.

    Returns:
        A `pandas.DataFrame`: setting, the hyperparameters; of the metric the maximum, mean, spread (standard
        deviation of a sample) and minimum of the `n` runs that ended well; how many failed, were
        pruned, and are still to come.

    Example:

    >>> with _example() as study:
    ...     _ = study.take()
    ...     tabulate_settings(study, tabulate_trials(study))[["x", "n", "open"]].values[0].tolist()
    [1, 0, 2]
    """
    import pandas

    names, metric = list(study.settings.space), study.settings.metric
    rows = []
    for setting, group in trials.groupby("setting"):
        values = group.loc[group["state"] == "complete", metric].astype(float)
        states = group["state"].value_counts()
        counts = {"n": len(values), "failed": states.get("fail", 0), "pruned": states.get("pruned", 0)}
        counts["open"] = states.get("waiting", 0) + states.get("running", 0)
        figures = {"maximum": values.max(), "mean": values.mean(), "spread": values.std(), "minimum": values.min()}
        rows.append({"setting": setting, **{name: group[name].iloc[0] for name in names}, **figures, **counts})
    columns = ["setting", *names, "maximum", "mean", "spread", "minimum", "n", "failed", "pruned", "open"]
    table = pandas.DataFrame(rows, columns=columns)
    up = study.settings.direction == "minimize"
    return table.sort_values("mean", ascending=up, kind="stable", na_position="last", ignore_index=True)


def write_tables(study):
    """Write `trials.csv` and `settings.csv` into the folder of a sweep, each whole or not at all.

    Args:
        study: a `recipes.trials.study.Study`.

    Returns:
        `(trials, settings)`, the two tables.

    Example:

    >>> with _example() as study:
    ...     _ = write_tables(study)
    >>> (study.folder / "settings.csv").read_text().splitlines()[0]
    'setting,x,maximum,mean,spread,minimum,n,failed,pruned,open'
    """
    with study.lock:  # or an older table could follow a newer one
        trials = tabulate_trials(study)
        settings = tabulate_settings(study, trials)
        write_text(study.folder / "trials.csv", trials.to_csv(index=False))
        write_text(study.folder / "settings.csv", settings.to_csv(index=False))
    return trials, settings


def _row(study, trial):
    notes = trial.user_attrs
    folder = study.folder_of(trial)
    return {
        **trial.params,
        "setting": notes["setting"],
        "trial": trial.number,
        "state": trial.state.name.lower(),
        "seed": study.seed(trial),
        study.settings.metric: trial.value,
        "seconds": notes.get("seconds"),
        "ended_epochs": max(trial.intermediate_values, default=None),
        "error": notes.get("error") or None,
        "folder": str(folder.relative_to(study.folder)) if folder.is_dir() else None,
    }


def _example():
    import pathlib
    import tempfile

    from recipes.trials.settings import example
    from recipes.trials.study import Study

    return Study(pathlib.Path(tempfile.mkdtemp()), example())
