"""The recipes that there are."""

import difflib
import importlib
import pkgutil


def list_recipes():
    """Find the recipes: the modules of this package named `<data>_<model>`.

    Returns:
        A sorted list of names.

    Example:

    >>> "cifar10_davidnet" in list_recipes()
    True
    """
    import recipes

    modules = [module.name for module in pkgutil.iter_modules(recipes.__path__) if not module.ispkg]
    return sorted(name for name in modules if "_" in name.strip("_"))


def load_recipe(name):
    """Import a recipe.

    Args:
        name: str, such as "cifar10_davidnet".

    Returns:
        Its function `train`.

    Raises:
        ValueError: for an unknown name.

    Example:

    >>> "final" in load_recipe("cifar10_davidnet").experiments
    True
    """
    check_name("recipe", name, list_recipes())
    return importlib.import_module(f"recipes.{name}").train


def check_name(kind, name, known):
    """Refuse an unknown name, with the nearest one that is known.

    Args:
        kind: str. What it names.
        name: str.
        known: the known names.

    Raises:
        ValueError: if `name` is not among them.

    Example:

    >>> check_name("model", "DavidNet", ["DavidNet"])
    """
    if name in known:
        return
    near = nearest(name, known)
    hint = f"Did you mean {near!r}?" if near else f"Expected one of: {', '.join(known)}."
    raise ValueError(f"Unknown {kind}: {name!r}. {hint}")


def nearest(name, known):
    """The known name that is most like another.

    Args:
        name: str.
        known: the known names.

    Returns:
        str, or None where none is like it.

    Example:

    >>> nearest("davidnet", ["DavidNet", "ResNet18"])
    'DavidNet'
    """
    lower = {each.lower(): each for each in known}
    near = difflib.get_close_matches(str(name).lower(), lower, n=1, cutoff=0.5)
    return lower[near[0]] if near else None
