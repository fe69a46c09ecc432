"""A page for each recipe: its docstrings, its experiments, and what was documented and measured."""

import importlib
import inspect

from generators import api
from recipes.catalogue import list_recipes
from recipes.catalogue import load_recipe
from recipes.reporting import tables


def pages(folder):
    """A page for each recipe, and their list.

    Args:
        folder: not used.

    Returns:
        dict of path to Markdown.
    """
    names = list_recipes()
    lines = ["| | |", "|---|---|"]
    lines += [f"| [{name}](generated/recipes/{name}.md) | {_module_line(name)} |" for name in names]
    toctree = ["", "```{toctree}", ":hidden:", "", *(f"generated/recipes/{name}" for name in names), "```", ""]
    texts = {"parts/recipes.md": "\n".join([*lines, *toctree])}
    return texts | {f"recipes/{name}.md": _page(name) for name in names}


def _module_line(name):
    return api.first_line(importlib.import_module(f"recipes.{name}"))


def _page(name):
    train = load_recipe(name)
    text = api.markdown(inspect.getdoc(importlib.import_module(f"recipes.{name}")))
    default = train.parameters["experiment"].default
    lines = [
        f"# {name}",
        "",
        text,
        "",
        "## Experiments",
        "",
        "| experiment | documented | measured here |",
        "|---|---|---|",
    ]
    for row in tables.experiments(name):
        first = f"**{row.name}**{' (default)' * row.default}"
        lines.append(f"| {first} | {_cell(row.documented)} | {_cell(row.measured)} |")
    lines += ["", "What each changes of the defaults below:", "", "| experiment | arguments |", "|---|---|"]
    for experiment, each in train.experiments.items():
        arguments = ", ".join(f"`{key}={value!r}`" for key, value in each.arguments.items())
        lines.append(f"| **{experiment}** | {arguments or 'nothing'} |")
    lines += ["", "## Arguments", "", "```{eval-rst}"]
    lines += [f".. autofunction:: recipes.{name}.train(experiment={default!r}, **arguments)", "```", ""]
    return "\n".join(lines)


def _cell(lines):
    return "<br>".join(lines).replace("|", "\\|") or "-"
