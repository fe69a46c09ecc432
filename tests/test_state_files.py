"""Files of states: what is damaged is found out, named, and left; nothing in them runs."""

import fractions
import json

import numpy as np
import pytest

from recipes.training.state.files import States
from recipes.training.state.files import read_state
from recipes.training.state.files import write_state


def some_state(step=0, phase=0):
    arrays = [np.arange(6.0, dtype="float32").reshape(2, 3), np.array(True), np.zeros((0, 2), "int64"), np.float64(2.5)]
    plain = {"inf": float("inf"), 3: (None, "text\n", [1, 2.5]), "third": fractions.Fraction(1, 3), "empty": {}}
    return {"phase": phase, "step": step, "arrays": arrays, "plain": plain}


def test_what_is_written_is_read(tmp_path):
    write_state(tmp_path / "state-1.bin", some_state())
    found, known = read_state(tmp_path / "state-1.bin"), some_state()
    for array, value in zip(found.pop("arrays"), known.pop("arrays"), strict=True):
        assert array.dtype == value.dtype and array.shape == value.shape
        np.testing.assert_array_equal(array, value)
    assert found == known
    assert type(found["plain"][3]) is tuple


@pytest.mark.parametrize("kind", ["cut", "empty", "flipped", "folder", "header"])
def test_a_damaged_state_is_left_out_and_named(tmp_path, kind):
    states = States(tmp_path)
    for step in range(3):
        states.write(some_state(step))
    older, newer = states.paths()
    content = bytearray(newer.read_bytes())
    for place in {"flipped": [len(content) - 3, 90, 20], "header": [3]}.get(kind, []):
        content[place] ^= 1
    newer.unlink()
    if kind == "folder":
        newer.mkdir()
    else:
        newer.write_bytes({"cut": content[:-1], "empty": b""}.get(kind, content))
    with pytest.warns(UserWarning, match=f"{newer.name} is damaged"):
        assert states.newest(0)["step"] == 1
    states.check()
    older.write_bytes(older.read_bytes()[:200])
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(ValueError, match="Delete that folder"):
        states.check()


def test_a_file_with_the_right_checksum_is_believed_no_further(tmp_path):
    """Neither sizes that are not there, nor objects, nor endless nesting."""
    import hashlib

    headers = [
        {"state": {"dict": [["phase", {"array": 0}]]}, "arrays": [["<f8", [10**12]]]},
        {"state": {"dict": [["phase", 0]]}, "arrays": [["|O", [1]]]},
        {"state": {"os.system": ["true"]}, "arrays": []},
        {"state": [0], "arrays": []},
    ]
    contents = [json.dumps(header).encode() + b"\n12345678" for header in headers]
    contents += [b'{"state": ' + b"[" * 10**5 + b"\n", b"no line"]
    for content in contents:
        digest = hashlib.sha256(content).hexdigest().encode()
        (tmp_path / "state-1.bin").write_bytes(b"zoo state 1 " + digest + b"\n" + content)
        with pytest.raises(ValueError):
            read_state(tmp_path / "state-1.bin")


def test_states_and_ends_of_phases_are_kept_apart(tmp_path):
    states = States(tmp_path / "state")
    assert states.newest() is None and states.end(0) is None
    for step in range(4):
        states.write(some_state(step, phase=step // 2))
    states.write_end(some_state(9))
    assert [path.name for path in states.paths()] == ["state-3.bin", "state-4.bin"]
    assert states.newest(0) is None and states.newest(1)["step"] == 3 and states.end(0)["step"] == 9
    with pytest.raises(TypeError, match="function"):
        states.write({"phase": 0, "own": some_state})
    assert states.newest()["step"] == 3
