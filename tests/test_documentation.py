"""What the documentation shows runs, and every public name is documented."""

import ast
import doctest
import importlib
import inspect
import pathlib
import pkgutil
import re

import pytest

import augment
from recipes.reporting import preview

ROOT = pathlib.Path(__file__).parents[1]


def modules():
    names = ["zoo", "augment", "recipes"]
    for package in list(names):
        walked = pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}.")
        names += [module.name for module in walked]
    return names


def public_objects():
    for name in modules():
        module = importlib.import_module(name)
        for key, value in vars(module).items():
            own = getattr(value, "__module__", None) == name and (inspect.isfunction(value) or inspect.isclass(value))
            if own and not key.startswith("_"):
                yield pytest.param(value, id=f"{name}.{key}")


@pytest.mark.parametrize("name", modules())
def test_examples_run_as_shown(name, backend, capsys):
    if name == "augment.pipeline":
        pytest.importorskip("tensorflow")
    module = importlib.import_module(name)  # the module, even where a function of its name hides it
    with capsys.disabled():
        results = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert results.failed == 0
    # doctest passes over what a decorator brings from another module: nothing may be lost so.
    assert results.attempted == shown_in(module), "doctest does not find every example"


def shown_in(module):
    """The number of examples in the docstrings, as the text of the module has them."""
    parser = doctest.DocTestParser()
    nodes = ast.walk(ast.parse(inspect.getsource(module)))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    return sum(
        len(parser.get_examples(ast.get_docstring(node) or "")) for node in nodes if isinstance(node, documented)
    )


@pytest.mark.parametrize("value", list(public_objects()))
def test_public_names_have_an_example(value):
    recipe = hasattr(value, "experiments")  # its example is the command in the docstring of its module
    assert recipe or ">>> " in inspect.getdoc(value), f"{value} has no example"


def pages():
    return sorted(path for path in (ROOT / "docs").rglob("*.md") if not {"build", "generated"} & set(path.parts))


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.stem)
def test_code_in_the_pages_runs(path, capsys):
    """Blocks of Python run one after another; those with prompts show what they give."""
    names = {"__name__": "pages"}
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", path.read_text(), re.S)):
        if not block.startswith(">>>"):
            exec(compile(block, f"{path.name}, block {number}", "exec"), names)
            continue
        test = doctest.DocTestParser().get_doctest(block, names, f"{path.name}, block {number}", str(path), 0)
        with capsys.disabled():
            results = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, clear_globs=False)
        names.update(test.globs)
        assert results.failed == 0


def test_every_operation_has_a_picture():
    shown = {type(operation) for operation in preview.examples(96).values()}
    operations = [value for value in vars(augment).values() if inspect.isclass(value)]
    operations = {value for value in operations if issubclass(value, augment.Operation)} - {augment.Operation}
    assert shown == operations


@pytest.mark.parametrize("value", list(public_objects()))
def test_public_names_have_docstrings_in_keras_order(value):
    text = inspect.getdoc(value)
    assert text, f"{value} has no docstring"
    assert text.splitlines()[0].endswith((".", ":")), "one line that says what it is"
    order = ("Args:", "Call arguments:", "Returns:", "Raises:", "Example:", "Reference:")
    places = [text.index(heading) for heading in order if heading in text]
    assert places == sorted(places), "the sections stand in Keras's order"
    signature = inspect.signature(value)
    named = [each for each in signature.parameters.values() if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)]
    named = [each.name for each in named if each.name not in ("self", "run", "args", "kwargs")]
    if inspect.isfunction(value) or "__init__" in vars(value):
        for name in named if "Args:" in text else []:
            assert re.search(rf"\b{name}\b", text.partition("Args:")[2]), f"argument {name} is not described"
        assert "Args:" in text or not named, "arguments are described"


def test_the_notebook_runs(tmp_path):
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    for path in sorted((ROOT / "examples").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        assert not any(cell.get("outputs") for cell in notebook.cells), f"{path} carries outputs"
        nbclient.NotebookClient(notebook, timeout=900, resources={"metadata": {"path": tmp_path}}).execute()


def test_the_readme_shows_what_there_is():
    text = (ROOT / "README.md").read_text()
    assert "python -m pip install . && zoo run cifar10_davidnet --demo" in text
    assert "python -m pip install '.[test]' && python -m pytest" in text
    blocks = text.split("```python\n")[1:]
    assert blocks
    for block in blocks:
        compile(block.partition("```")[0], "README.md", "exec")
