"""What a training needs to go on as if it had never been interrupted: taken, kept in files, and given back.

`RunState` saves it while `fit` runs, `newest` finds what it saved; `recipes.training.beginning.fit_from` goes on
from there, and `recipes.resume` does all of it for the run of a recipe.
"""

from recipes.training.state.files import States
from recipes.training.state.saving import Interrupted
from recipes.training.state.saving import RunState
from recipes.training.state.snapshot import restore
from recipes.training.state.snapshot import take

__all__ = ["Interrupted", "RunState", "States", "restore", "take"]
