"""Files are whole or not there."""

import errno
import os

import pytest

from recipes.atomic import leftovers
from recipes.atomic import write_atomically
from recipes.atomic import write_text


def test_after_an_error_everything_is_as_it_was(tmp_path):
    path = tmp_path / "model.keras"
    write_text(path, "old")
    with pytest.raises(KeyError), write_atomically(path) as part:
        part.write_text("half of the n")
        raise KeyError
    assert part.suffix == ".keras" and path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_contents_are_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    path, seen, real = tmp_path / "note.txt", [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: seen.append(path.exists()) or real(descriptor))
    write_text(path, "ü\udcff")
    assert path.read_bytes() == b"\xc3\xbc\xff"
    assert seen == [False, True]  # the file, and then its folder


def test_what_a_killed_process_leaves_is_found(tmp_path):
    writing = write_atomically(tmp_path / "state-1.npz")
    part = writing.__enter__()
    part.write_text("half")
    write_text(tmp_path / "state-0.npz", "whole")
    assert leftovers(tmp_path) == [part] and not list(tmp_path.glob("state-1*"))


@pytest.mark.parametrize("number", [None, errno.ENOSPC, errno.EACCES])
def test_errors_name_the_file_that_was_to_be_written(tmp_path, number):
    path = tmp_path / "model.keras"
    with pytest.raises(OSError) as caught, write_atomically(path) as part:
        part.write_text("half")
        raise OSError(number, "no") if number else OSError("Can't write data (file write failed)\nmore")
    assert caught.value.filename == str(path)
    assert caught.value.errno == (number or errno.EIO)
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError) as caught:
        write_text(tmp_path / "nowhere" / "note.txt", "")
    assert caught.value.filename == str(tmp_path / "nowhere" / "note.txt")


def test_errors_about_other_files_stay_what_they_are(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, write_atomically(tmp_path / "copy.txt") as part:
        part.write_text((tmp_path / "original.txt").read_text())
    assert caught.value.filename == str(tmp_path / "original.txt")
