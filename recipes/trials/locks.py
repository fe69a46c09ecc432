"""Locks on files, which the system releases when a process ends, however it ends."""

import pathlib


class Lock:
    """A lock on a file: one holder at a time, of all processes.

    A context manager, which waits for its turn.

    Args:
        path: of the file, which is made.

    Example:

    >>> import tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "lock")
    >>> with Lock(path):
    ...     is_held(path)
    True
    >>> is_held(path)
    False
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)

    def acquire(self):
        """Wait for the lock, and take it.

        Returns:
            True.
        """
        import fcntl

        self._file = self.path.open("a")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        return True

    def release(self):
        """Give the lock back."""
        self._file.close()

    def __enter__(self):
        self.acquire()
        return self

    def __exit__(self, *error):
        self.release()


def is_held(path):
    """Whether a process holds the lock on a file.

    Args:
        path: of the file.

    Returns:
        bool. False if there is no file.

    Example:

    >>> is_held("nowhere")
    False
    """
    import fcntl

    try:
        with pathlib.Path(path).open("r") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
