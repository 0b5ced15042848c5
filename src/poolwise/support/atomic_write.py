"""Files that are either whole or not there."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from poolwise.support.errors import FileError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` to write to, moved there at the end; on any error nothing remains of it.

    A link stays a link: the file behind it is replaced, and keeps its mode.

    Raises
    ------
    FileError : when the path cannot be written, or is a device, a pipe or a folder.
    """
    try:
        path, mode = _replaceable(path)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            os.chmod(temporary, mode)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise FileError(f"Cannot write '{path}': {error.strerror or error}.") from error


def _replaceable(path: Path) -> tuple[Path, int]:
    """The file that a path leads to, through links, and the mode that it has or is to have."""
    try:
        path = path.resolve() if path.is_symlink() else path
    except RuntimeError as error:  # links in a circle
        raise FileError(f"Cannot write '{path}': its links lead in a circle.") from error
    if path.is_dir():
        raise FileError(f"Cannot write '{path}': it is a folder.")
    if not path.exists():
        return path, 0o666 & ~_umask()
    if not path.is_file():
        raise FileError(f"Cannot write '{path}': it is a device or a pipe, which a file would replace.")
    return path, stat.S_IMODE(path.stat().st_mode)


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
    if "\0" in str(given):
        raise FileError(f"The path {given!r} holds a zero character.")
    path, _ = _replaceable(Path(given))
    if not path.parent.is_dir():
        raise FileError(f"Cannot write '{path}': there is no folder '{path.parent}'.")
    if not os.access(path.parent, os.W_OK):
        raise FileError(f"Cannot write '{path}': the folder cannot be written.")
    return path
