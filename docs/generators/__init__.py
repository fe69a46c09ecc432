"""The parts of the documentation that are made from the code, its docstrings and the records.

Each module has `pages(folder)`, which returns a dict of path to Markdown, and may write pictures
into the folder. Nothing here names what the packages hold: new names appear by themselves.
"""

import inspect
import re

from generators import api
from generators import experiments
from generators import gallery
from generators import range_test
from generators import schedules
from generators import speed


def write(folder):
    """Make everything that is generated; what has not changed is left alone, what is no longer made goes.

    Args:
        folder: a `pathlib.Path`.
    """
    texts = {}
    for module in (api, experiments, gallery, range_test, schedules, speed):
        texts |= {folder / name: text for name, text in module.pages(folder).items()}
    for path in set(folder.rglob("*.md")) - set(texts):
        path.unlink()
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def adapt(app, what, name, obj, options, lines):
    """Adapt a docstring to reStructuredText.

    Letters may follow a backtick, as in `ValueError`s; each reference keeps a line of its own; arguments that
    are described together may take several lines.

    Args:
        app: not used, nor are `what`, `name`, `obj`, `options`: Sphinx passes them.
        lines: list of str, changed in place.
    """
    for number in reversed(range(len(lines) - 1)):
        if re.fullmatch(r" +\w+(, \w+)*,", lines[number]):
            lines[number : number + 2] = [f"{lines[number]} {lines[number + 1].strip()}"]
    inside = False
    for number, line in enumerate(lines):
        inside = bool(line.strip()) and (inside or line.strip() == "Reference:")
        if inside and line.strip() != "Reference:":
            lines[number] = line = line.replace(line.strip(), f"| {line.strip()}")
        if not line.lstrip().startswith((">>>", "...")):
            lines[number] = re.sub(r"(?<!`)(`[^`]+`)(?=\w)", r"\1\\ ", line)


def sign(app, what, name, obj, options, signature, returned):
    """Show what a class takes where Keras hides it behind `__new__(*args, **kwargs)`.

    Args:
        app: not used, nor are `name`, `options`: Sphinx passes them.
        what: str. The kind of object.
        obj: the object.
        signature: str.
        returned: str.

    Returns:
        `(signature, returned)`.
    """
    if what == "class" and signature == "(*args, **kwargs)":
        parameters = list(inspect.signature(obj.__init__).parameters.values())[1:]
        signature = str(inspect.Signature(parameters))
    return signature, returned


def skip(app, what, name, obj, skip, options):
    """Leave out what only Keras calls.

    Args:
        app: not used, nor are `what`, `obj`, `options`: Sphinx passes them.
        name: str.
        skip: bool.

    Returns:
        True to leave it out, None to leave the decision to Sphinx.
    """
    return True if name in ("get_config", "from_config") else None
