"""The pages of the packages: summary tables, and an entry for each public name."""

import importlib
import inspect
import pkgutil
import re

from recipes.catalogue import list_recipes

PACKAGES = ("zoo", "augment", "recipes")


def pages(folder):
    """A page for each package, and one for each module that has public names.

    Args:
        folder: not used.

    Returns:
        dict of path to Markdown.
    """
    texts = {}
    for package in PACKAGES:
        groups = {module: names for module in _modules(package) if (names := public_names(module))}
        texts[f"api/{package}.md"] = _package_page(package, groups)
        for module, names in groups.items():
            texts[f"api/{module}.md"] = _module_page(package, module, names)
    return texts


def public_names(module):
    """The classes and functions that a module defines, in the order of its text.

    Args:
        module: str.

    Returns:
        list of str.
    """
    return [
        name
        for name, value in vars(importlib.import_module(module)).items()
        if (inspect.isclass(value) or inspect.isroutine(value))
        and getattr(value, "__module__", None) == module
        and not name.startswith("_")
    ]


def first_line(value):
    """What a thing is, from its docstring.

    Args:
        value: a class, function or module.

    Returns:
        str, in Markdown.
    """
    return inspect.getdoc(value).splitlines()[0]


def link(package, module, name):
    """Where an object is documented, as Markdown.

    Args:
        package: str.
        module: str.
        name: str.

    Returns:
        str.
    """
    target = getattr(importlib.import_module(module), name).__name__  # not that of an alias
    return f"{{py:obj}}`{name} <{full_name(package, module, target)}>`"


def full_name(package, module, name):
    """The name to import: that of the package where it exports it.

    Args:
        package: str.
        module: str.
        name: str.

    Returns:
        str.
    """
    for exporter in (package, module.rpartition(".")[0] or package):
        if name in getattr(importlib.import_module(exporter), "__all__", ()):
            return f"{exporter}.{name}"
    return f"{module}.{name}"


def _modules(package):
    """The modules of a package, but for the recipes and the command line, which have pages of their own."""
    walked = pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}.")
    own_pages = {f"recipes.{name}" for name in [*list_recipes(), "__main__"]}
    return [module.name for module in walked if module.name not in own_pages and not module.ispkg]


def _package_page(package, groups):
    """What the package exports comes first; what else its modules have, after it."""
    module = importlib.import_module(package)
    exported = getattr(module, "__all__", None)
    lines = [f"# {package}", "", markdown(inspect.getdoc(module)), ""]
    own = public_names(package)
    lines += [*_table(package, package, own), *_entries(package, package, own)] if own else []
    others, behind = [], []
    for name, names in groups.items():
        first = [each for each in names if exported is None or each in exported]
        lines += [f"## [{_title(name)}]({name}.md)", "", *_table(package, name, first)] if first else []
        behind += [] if first else [name]
        rest = [each for each in names if each not in first]
        others += [f"### [{_title(name)}]({name}.md)", "", *_table(package, name, rest)] if rest else []
    lines += ["## For those who write their own", "", *others] if others else []
    return "\n".join(
        [*lines, "```{toctree}", ":hidden:", "", *sorted(groups, key=lambda name: name in behind), "```", ""]
    )


def _module_page(package, module, names):
    text = markdown(inspect.getdoc(importlib.import_module(module)))
    lines = [f"# {_title(module)}", "", f"`{module}`", "", text, "", *_table(package, module, names)]
    return "\n".join([*lines, *_entries(package, module, names)])


def _table(package, module, names):
    rows = [f"| {link(package, module, name)} | {_summary(module, name)} |" for name in names]
    return ["| | |", "|---|---|", *rows, ""]


def _entries(package, module, names):
    lines = ["```{eval-rst}"]
    for name in names:
        value = getattr(importlib.import_module(module), name)
        if value.__name__ != name:
            continue
        is_class = inspect.isclass(value)
        lines += ["", f".. auto{'class' if is_class else 'function'}:: {full_name(package, module, name)}"]
        lines += ["   :members:"] * is_class
    return [*lines, "```", ""]


def _title(module):
    """The first words of a module's docstring."""
    return re.split(r"[,:;.](?: |$)| of \(", first_line(importlib.import_module(module)))[0]


def _summary(module, name):
    value = getattr(importlib.import_module(module), name)
    return first_line(value).replace("|", "\\|") if value.__name__ == name else f"Another name of `{value.__name__}`."


def markdown(docstring):
    """A module's docstring, with its examples and commands as code, and its addresses as links.

    Args:
        docstring: str.

    Returns:
        str.
    """
    text = re.sub(r"^(Example|Reference):\n", "", docstring, flags=re.M)
    return "\n\n".join(_paragraph(each.strip("\n")) for each in text.split("\n\n") if each.strip())


def _paragraph(text):
    if text.startswith(">>>"):
        return f"```python\n{text}\n```"
    lines = text.splitlines()
    if all(line.startswith("    ") for line in lines) and "http" not in text:
        return f"```bash\n{inspect.cleandoc(text)}\n```"
    return re.sub(r"(https://[^\s)]+)", r"<\1>", inspect.cleandoc(text))
