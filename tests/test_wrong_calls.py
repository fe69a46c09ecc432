"""The tables of wrong calls: each gives one error that helps, of our own, and none of a library."""

import pathlib
import shlex

import pytest
from wrong_calls import builders
from wrong_calls import checkpoints
from wrong_calls import commands
from wrong_calls import data_sets
from wrong_calls import operations
from wrong_calls import training

from recipes.__main__ import main

ROOT = pathlib.Path(__file__).parents[1]
TABLES = [builders, checkpoints, data_sets, operations, training]
CALLS = [(table, *case) for table in TABLES for case in table.CASES]


def test_there_are_many():
    assert len(CALLS) + len(commands.CASES) >= 150
    assert len({call for _, call, *_ in CALLS}) == len(CALLS)


@pytest.mark.parametrize(("table", "call", "parts"), [(table, call, parts) for table, call, *parts in CALLS])
def test_a_wrong_call_gives_the_error_that_helps(table, call, parts, tmp_path):
    with pytest.raises(ValueError) as error:
        eval(call, vars(table) | {"folder": tmp_path})
    assert type(error.value) is ValueError  # none of a library's own kinds
    assert error.traceback[-1].path.is_relative_to(ROOT), "a library raised it"
    assert error.traceback[-1].path.relative_to(ROOT).parts[0] in ("zoo", "augment", "recipes")
    for part in parts:
        assert part in str(error.value)


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """The folders that command lines name: runs whose files are no such files."""
    folders = {"damaged": b'a,"b\n1', "binary": bytes(range(128, 256))}
    for name, content in folders.items():
        folders[name] = tmp_path_factory.mktemp(name)
        for file in ("history.csv", "record.json", "picture.png"):
            (folders[name] / file).write_bytes(content)
    return folders


@pytest.mark.parametrize(("line", "parts"), [(line, parts) for line, *parts in commands.CASES])
def test_a_wrong_command_line_gives_one_line_and_exit_status_2(line, parts, damaged, tmp_path, capsys):
    assert main(shlex.split(line.format(tmp_path, **damaged))) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("zoo: ")
    assert printed.err.count("\n") == 1
    for part in parts:
        assert part in printed.err
    assert not list(tmp_path.glob("*"))  # nothing half-done is left
