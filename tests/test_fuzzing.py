"""Every reader of files reads what it is given, or says in a line why not. `benchmarks/fuzzing.py` takes longer."""

import hypothesis
import pytest
from hypothesis import strategies
from mutations import EDITS
from mutations import finding
from mutations import readers
from mutations import spoil

READERS = readers()
SLOW = ("keras", "weights.h5")  # they build a network each time
NUMBERS = strategies.integers(0, 2**32 - 1)


@pytest.mark.parametrize("name", READERS)
def test_the_whole_file_is_read(name, tmp_path):
    content, file, wrap, read = READERS[name]
    (tmp_path / file).write_bytes(wrap(content))
    read(tmp_path / file)


@pytest.mark.parametrize("name", READERS)
def test_spoiled_files_are_read_or_refused_in_a_line(name, tmp_path):
    @hypothesis.settings(
        max_examples=8 if name.startswith(SLOW) else 25, deadline=None, database=None, derandomize=True
    )
    @hypothesis.given(strategies.lists(strategies.tuples(strategies.sampled_from(EDITS), NUMBERS, NUMBERS), max_size=4))
    def check(edits):
        assert finding(READERS[name], spoil(READERS[name][0], edits), tmp_path) is None

    check()
