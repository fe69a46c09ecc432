"""The import rule of the project, and what importing it costs."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGES = {"zoo", "augment", "recipes"}
# What each package may import at the top of a module, beside the standard library and itself.
ALLOWED = {
    "zoo": {"keras", "numpy"},
    "augment": {"keras", "numpy"},
    "recipes": {"keras", "numpy", "rich", "zoo", "augment"},
}
# Inside recipes: a module may import what stands below it.
LAYERS = [
    ("recipes.__main__",),
    ("recipes.<recipe>",),
    ("recipes.training", "recipes.data", "recipes.reporting", "recipes.trials", "recipes.fine_tuning"),
    ("recipes.callbacks", "recipes.catalogue", "recipes.finder", "recipes.hyperrule", "recipes.losses"),
    ("recipes.optimizers",),
    ("recipes.schedules", "recipes.replicas"),
]


def modules():
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def top_level_imports(path):
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module


def all_imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def layer(module):
    name = module.split(".")[1] if "." in module else ""
    known = next((number for number, names in enumerate(LAYERS) for each in names if module.startswith(each)), None)
    return 1 if known is None and "_" in name.strip("_") else known


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_import_only_what_their_package_may(path):
    package = path.relative_to(ROOT).parts[0]
    for module in top_level_imports(path):
        name = module.split(".")[0]
        assert name in ALLOWED[package] | {package} | sys.stdlib_module_names, f"{path} imports {module}"
    for module in all_imports(path):  # inside functions too
        assert module.split(".")[0] not in {"zoo": {"augment", "recipes"}, "augment": {"zoo", "recipes"}}.get(
            package, set()
        )
        assert not module.startswith("keras.src")


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").rglob("*.py")), ids=lambda path: path.name)
def test_recipes_import_downwards(path):
    own = layer(".".join(path.relative_to(ROOT).with_suffix("").parts))
    for module in top_level_imports(path):
        if own is not None and module.startswith("recipes.") and layer(module) is not None:
            assert layer(module) >= own, f"{path} imports {module}"
            assert not (own == layer(module) == 1), f"{path}: a recipe imports another"


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_importing_loads_nothing_heavy(package):
    heavy = {"matplotlib", "pandas", "sklearn", "imgaug", "PIL", "scipy", "cv2", "safetensors"}
    script = f"import sys, keras; before = set(sys.modules); import {package}; print(*(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not heavy & {module.split(".")[0] for module in loaded.stdout.split()}


def test_jax_and_torch_need_no_tensorflow(backend, tmp_path):
    if backend == "tensorflow":
        pytest.skip("TensorFlow itself is the backend of this run")
    script = f"""
import sys

from importlib.machinery import PathFinder

find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: None if name.split(".")[0] == "tensorflow" else find(name, *rest)
import augment, zoo
import dataclasses
import recipes.cifar10_davidnet as recipe

full = recipe.load_digits()
parts = ("train_images", "train_labels", "validation_images", "validation_labels")
few = dataclasses.replace(full, **{{name: getattr(full, name)[:80] for name in parts}})
recipe.load_digits = lambda: few
record = recipe.train("demo", epochs=2, batch_size=40, precision="float32", runs={str(tmp_path)!r}, quiet=True)
assert "tensorflow" not in sys.modules
assert len(record.history["val_accuracy"]) == 2
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)
