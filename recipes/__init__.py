"""Documented experiments, reproduced: one recipe a file, named `<data>_<model>.py`.

Import a recipe and call its `train`; `recipes.schedules` and `recipes.callbacks` are public too.

Example:

>>> from recipes import schedules
>>> schedules.piecewise_linear(5, [0, 10], [0.0, 0.5])
0.25
"""


def resume(folder, **settings):
    """Go on with a run that was interrupted, as `zoo run --resume` does: see `recipes.training.resume`.

    Args:
        folder: path of the run.
        **settings: of `recipes.training.resume.resume`.

    Returns:
        The `recipes.reporting.records.Record`, with model and history.

    Raises:
        ValueError: if it is no run that can go on, or for other settings.

    Example:

    >>> resume("nowhere")
    Traceback (most recent call last):
    ValueError: nowhere holds no state/run.json. Give the folder of a run that was interrupted.
    """
    from recipes.training.resume import resume

    return resume(folder, **settings)
