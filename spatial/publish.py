"""Folders and files that appear in one step: the old content or the new, never neither, never a mixture.

Everything is written to a sibling dot-folder, brought to the disk, then exchanged with what stands there.
A lock beside it lets one run write at a time. Whatever a killed run leaves begins with a dot, and the next
run removes it.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from spatial.errors import DataError

__all__ = ["amending", "publishing", "replace_file"]

_STOPS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


@contextmanager
def publishing(out: Path, *, mark: str = "summary.json") -> Iterator[Path]:
    """A folder to write into that takes the place of ``out`` in one step when the block ends well.

    When the block fails, the dot-folder is removed and ``out`` stays as it was. A folder that holds other
    files and not the file ``mark`` is not ours and is never replaced.

    Raises
    ------
    DataError
        ``out`` holds something that is no plan, can't be written, or another run is writing to it.
    """
    out = Path(os.path.abspath(out))
    _refuse_foreign(out, mark)
    with ExitStack() as stack:
        try:
            stack.enter_context(_made_folder(out.parent))
            lock = _Lock(out)
        except OSError as error:
            raise DataError(
                f"{out.parent} can't be written: {_reason(error)}; choose another --out"
            ) from None
        partial, old = (out.with_name(f".{out.name}.{end}") for end in ("partial", "old"))
        try:
            _recover(out, old)
            _remove(partial)
            partial.mkdir()
            yield partial
            _sync(partial)
            with _undisturbed():
                _exchange(partial, out, old)
                _sync_folder(out.parent)
        except OSError as error:
            raise DataError(f"{out} could not be written: {_reason(error)}; nothing was changed") from None
        finally:
            with _undisturbed():
                _remove(partial)
                _recover(out, old)
                _remove(old)
                lock.release()


@contextmanager
def amending(out: Path, *, mark: str = "summary.json") -> Iterator[Path]:
    """A copy of the folder ``out`` to change, which takes its place in one step when the block ends well.

    Raises
    ------
    DataError
        As for :func:`publishing`, and for a link or pipe in the folder: what it leads to is not ours to copy.
    """
    for each in sorted(out.rglob("*")):
        if each.is_symlink() or not (each.is_file() or each.is_dir()):
            raise DataError(f"{each} is no plain file; take it out of the plan folder")
    with publishing(out, mark=mark) as partial:
        shutil.copytree(out, partial, dirs_exist_ok=True)
        yield partial


def replace_file(path: Path, content: str | bytes) -> None:
    """Write a file so that the old content or the new one stands there, never half of one.

    Raises
    ------
    DataError
        It can't be written.
    """
    try:
        with _made_folder(path.parent):
            _replace(path, content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise DataError(f"{path} could not be written: {_reason(error)}; it is as it was") from None


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
        _sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


class _Lock:
    """One run at a time may write ``out``; released by the system where a run is killed.

    Raises
    ------
    DataError
        Another run holds it.
    """

    def __init__(self, out: Path) -> None:
        self._path = out.with_name(f".{out.name}.lock")
        while True:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(self._file), self._path.stat()):
                    return
            except BlockingIOError:
                os.close(self._file)
                raise DataError(f"{out} is busy: another run is writing it; wait for its end") from None
            except FileNotFoundError:
                pass
            os.close(self._file)  # the run before removed its lock between our two steps: once more

    def release(self) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._file)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C and polite kills wait until the block is done."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _refuse_foreign(out: Path, mark: str) -> None:
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise DataError(f"--out {out} is not a folder; choose another")
    if out.is_dir() and any(out.iterdir()) and not (out / mark).is_file():
        raise DataError(
            f"--out {out} holds other files than ours; choose an empty folder or an earlier result"
        )


def _recover(out: Path, old: Path) -> None:
    """Where a run was killed between two renames, the old folder goes back to its place."""
    if old.exists() and not out.exists():
        old.rename(out)


def _exchange(new: Path, out: Path, old: Path) -> None:
    """``new`` becomes ``out``: one atomic exchange where the system has it, else two renames."""
    if not out.exists():
        new.rename(out)
    elif not _renameat2_exchange(new, out):
        out.rename(old)
        new.rename(out)


def _renameat2_exchange(one: Path, other: Path) -> bool:
    """Exchange two paths atomically (renameat2, RENAME_EXCHANGE = 2); False where there is no such call."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    at_cwd = -100
    return renameat2 is not None and renameat2(at_cwd, os.fsencode(one), at_cwd, os.fsencode(other), 2) == 0


def _remove(path: Path) -> None:
    """A folder of ours, or whatever took its name, away; what can't be removed is left to the next run."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _made_folder(folder: Path) -> Iterator[None]:
    """The folder and those above it, each name on the disk; what was made and is left empty goes again."""
    made: list[Path] = []
    try:
        for each in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
            with suppress(FileExistsError):  # another run made it between our two steps
                each.mkdir()
                made.append(each)
                _sync_folder(each.parent)
        yield
    finally:
        with suppress(OSError):  # one that holds anything stays, and those above it
            for each in reversed(made):
                each.rmdir()


def _sync(folder: Path) -> None:
    for each in sorted(folder.rglob("*")):
        if each.is_dir():
            _sync_folder(each)
        else:
            with each.open("rb") as stream:
                os.fsync(stream.fileno())
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
