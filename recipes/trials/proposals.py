"""What to try next: random, or Bayesian by what the trials before have shown."""

import numpy as np

from recipes.trials.space import distributions
from recipes.trials.space import every_setting
from recipes.trials.space import size

_ATTEMPTS = 20
_LISTED = 100_000


def propose(settings, known, trials):
    """Propose a setting that is not known yet.

    The draw depends on the seed and on how many are known, not on what this process drew before:
    an interrupted search goes on as it would have.

    Args:
        settings: a `Settings`.
        known: list of dicts, the settings so far.
        trials: list of `optuna.trial.FrozenTrial`.

    Returns:
        dict of name to value; None if there is no other.

    Example:

    >>> from recipes.trials.settings import example
    >>> propose(example("random"), [{"x": 1}], [])
    {'x': 2}
    """
    count = size(settings.space)
    if len(known) >= count:
        return None
    for search in dict.fromkeys((settings.search, "random")):
        for attempt in range(_ATTEMPTS):
            new = _draw(settings, search, trials, _seed(settings, known, attempt))
            if new not in known:
                return new
    if count > _LISTED:
        return None
    others = [each for each in every_setting(settings.space) if each not in known]
    return others[_seed(settings, known, _ATTEMPTS) % len(others)]


def _seed(settings, known, attempt):
    return int(np.random.SeedSequence([settings.seed, len(known), attempt]).generate_state(1)[0])


def _draw(settings, search, trials, seed):
    """Ask a study in memory that holds copies of the trials, so that what is drawn in vain leaves nothing."""
    import optuna

    if search == "random":
        trials, sampler = [], optuna.samplers.RandomSampler(seed=seed)
    else:
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=10 * settings.repeats)
    study = optuna.create_study(direction=settings.direction, sampler=sampler)
    study.add_trials([trial for trial in trials if trial.state.name in ("COMPLETE", "PRUNED", "RUNNING")])
    return study.ask(distributions(settings.space)).params
