"""The file in which the trials of a sweep are kept."""

import pathlib

from recipes.trials.locks import Lock


def choose_storage(folder, storage):
    """The file of the storage, by default in the folder of the sweep.

    Args:
        folder: a `pathlib.Path`.
        storage: path, or None. Its ending says the kind: .sqlite or .db, .journal or .jsonl.

    Returns:
        str. The path: from the folder of the sweep, or whole.

    Raises:
        ValueError: for another ending, or a missing folder.

    Example:

    >>> choose_storage(pathlib.Path("sweeps/first"), None)
    'trials.sqlite'
    """
    path = pathlib.Path(storage) if storage else folder / "trials.sqlite"
    if path.suffix not in (".sqlite", ".db", ".journal", ".jsonl"):
        raise ValueError(f"The storage is a file .sqlite or .db, .journal or .jsonl. Received: {str(path)!r}")
    if path.parent != folder and not path.parent.is_dir():
        raise ValueError(f"Cannot write {path}: there is no folder {path.parent}.")
    return path.name if path.parent == folder else str(path.resolve())


def open_storage(path):
    """Open the storage of a sweep, or make it.

    Args:
        path: a `pathlib.Path`. Its ending says the kind: .sqlite or .db, .journal or .jsonl.

    Returns:
        An Optuna storage.

    Example:

    >>> import tempfile
    >>> type(open_storage(pathlib.Path(tempfile.mkdtemp(), "trials.journal"))).__name__
    'JournalStorage'
    """
    import optuna

    if path.suffix in (".sqlite", ".db"):
        return optuna.storages.RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 60}})
    lock = Lock(path.with_suffix(".lock"))  # Optuna's own outlives a process that is killed
    with lock:
        _cut_torn_line(path)
    backend = optuna.storages.journal.JournalFileBackend(str(path), lock_obj=lock)
    return optuna.storages.JournalStorage(backend)


def _cut_torn_line(path):
    """What a killed process left half written would make the journal unreadable."""
    if path.is_file():
        text = path.read_bytes()
        if not text.endswith(b"\n"):
            with path.open("r+b") as file:
                file.truncate(text.rfind(b"\n") + 1)
