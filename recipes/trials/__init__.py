"""Sweeps: many trials of a recipe, each a process of its own, in an Optuna storage that survives interruption.

    zoo sweep cifar10_davidnet --demo --grid peak_lr=0.1,0.2,0.4 batch_size=64,128 --repeats 3

`recipes.trials.sweep` is the same as a call. Linux and macOS.
"""

from recipes.trials.sweep import sweep

__all__ = ["sweep"]
