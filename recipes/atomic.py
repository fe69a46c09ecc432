"""Files that are whole or not there, whatever happens while they are written."""

import contextlib
import errno
import os
import pathlib
import secrets


@contextlib.contextmanager
def write_atomically(path):
    """A context that gives a path to write to; what is written there takes the place of `path` at its end.

    It is on the disk before it does. After an error what stood at `path` is as it was, and the new file is gone. A
    process that is killed meanwhile leaves a hidden file beside it, named as `leftovers` finds them.

    Args:
        path: of the file, whose folder exists.

    Yields:
        pathlib.Path in the same folder, with the same ending.

    Raises:
        OSError: if it cannot be written: of the kind that the system says, and about `path`.

    Example:

    >>> import tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "note.txt")
    >>> with write_atomically(path) as part:
    ...     _ = part.write_text("seen")
    ...     path.exists()
    False
    >>> path.read_text()
    'seen'
    """
    path = pathlib.Path(path)
    part = path.with_name(f".{path.stem}-{secrets.token_hex(4)}.part{path.suffix}")
    try:
        yield part
        _flush(part, os.O_RDWR)
        part.replace(path)
    except OSError as error:
        if error.filename not in (None, part, str(part)):  # it is about something else
            raise
        # Of a full disk the system does not say the file, and HDF5 not even the kind.
        reason = error.strerror or str(error).partition("\n")[0]
        raise OSError(error.errno or errno.EIO, reason, str(path)) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
    with contextlib.suppress(OSError):  # some systems flush no folders
        _flush(path.parent, os.O_RDONLY)


def write_text(path, text):
    """Write a text, whole or not at all.

    Args:
        path: of the file.
        text: str.

    Raises:
        OSError: as `write_atomically`.

    Example:

    >>> import tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "note.txt")
    >>> write_text(path, "seen")
    >>> path.read_text()
    'seen'
    """
    with write_atomically(path) as part:
        part.write_bytes(text.encode("utf-8", "surrogateescape"))  # file names need not be UTF-8


def leftovers(folder):
    """What killed processes left of files that they were writing.

    Args:
        folder: path.

    Returns:
        A sorted list of paths.

    Example:

    >>> import tempfile
    >>> leftovers(tempfile.mkdtemp())
    []
    """
    return sorted(pathlib.Path(folder).glob(".*-????????.part*"))


def _flush(path, mode):
    descriptor = os.open(path, mode)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
