"""Whether memory bears a file: asked before it is read."""

import os
import pathlib


def memory():
    """Bytes of memory that the machine, or the container that this runs in, has.

    Returns:
        int.

    Example:

    >>> memory() > 2**20
    True
    """
    limits = [8 * 2**30]  # where nothing says it
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        path = pathlib.Path("/sys/fs/cgroup", name)
        if path.is_file() and (text := path.read_text().strip()).isdecimal():
            limits.append(int(text))
    return min(limits)


def check_room(path, times):
    """Refuse a file that would take more memory than there is.

    Args:
        path: path of the file.
        times: number. How many times its size it takes where it has been read.

    Raises:
        ValueError: if it would; OSError if there is none.

    Example:

    >>> import tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "some.json")
    >>> _ = path.write_text("[]")
    >>> check_room(path, times=20)
    """
    size, there = pathlib.Path(path).stat().st_size, memory()
    if size * times > there:
        raise ValueError(
            f"its {size / 1e9:.1f} GB take {size * times / 1e9:.1f} GB of memory, and there are {there / 1e9:.1f} GB"
        )
