"""Files that are either whole or not there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from poolwise.errors import FileError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` to write to, moved there at the end; on any error nothing remains of it.

    Raises
    ------
    FileError : when the path cannot be written.
    """
    try:
        if path.is_dir():
            raise FileError(f"Cannot write '{path}': it is a folder.")
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise FileError(f"Cannot write '{path}': {error.strerror or error}.") from error


def _umask() -> int:
    """The mask of the process, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def check_writable(given: str | os.PathLike[str]) -> Path:
    """The path, or before long work is begun a refusal of one that cannot be written.

    Raises
    ------
    FileError : when its folder is missing or closed, or it is a folder itself.
    """
    if not isinstance(given, (str, os.PathLike)):
        raise FileError(f"The path must be text, not {given!r}.")
    path = Path(given)
    if path.is_dir():
        raise FileError(f"Cannot write '{path}': it is a folder.")
    if not path.parent.is_dir():
        raise FileError(f"Cannot write '{path}': there is no folder '{path.parent}'.")
    if not os.access(path.parent, os.W_OK):
        raise FileError(f"Cannot write '{path}': the folder cannot be written.")
    return path
