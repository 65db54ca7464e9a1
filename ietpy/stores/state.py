"""What logical units keep over a loss of power (``ietpy.scsi.state``): one JSON file for each, in one directory.

A file is never changed, only replaced: written beside, brought to stable storage, renamed. Whatever interrupts that
leaves the old one or the new one. A unit that keeps nothing has no file, and a daemon none of whose units keeps
anything needs no directory.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
import re
import secrets
import stat
import threading
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from ietpy.errors import Span, StoreError
from ietpy.events import Event
from ietpy.stores.trust import as_user, give_away, open_trusted

log = logging.getLogger(__name__)

FORMAT: Final = 1
#: Bytes of a file: thousands of registrations take less.
LIMIT: Final = 4 << 20
DIRECTORY_MODE: Final = 0o700
FILE_MODE: Final = 0o600
#: What a file is called until it is whole: by its name, a number, and this.
_FRESH: Final = ".new"
#: The names of files here, whole or not; in a directory that was named to us others may lie.
_OURS: Final = re.compile(r".+,lun[0-9]+\.json(?P<fresh>\.[0-9a-f]{8}\.new)?", re.ASCII | re.DOTALL)
#: Characters of a target's name that a file name repeats; more would not leave room for the rest.
_LONGEST_NAME: Final = 160
_OPEN: Final = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_ADVICE: Final = "mend the file, or move it away; without it persistent reservations and saved mode pages are lost"


def file_name(target: str, number: int) -> str:
    """Of LUN ``number``; names that differ in letter case are one target's. A name can hold any character."""
    name = quote(target.lower(), safe=":", errors="surrogateescape")
    if len(name) > _LONGEST_NAME:
        digest = hashlib.sha256(target.lower().encode("utf-8", "surrogateescape")).hexdigest()
        name = f"{name[:_LONGEST_NAME - 64]},{digest}"
    return f"{name},lun{number}.json"


class StateDirectory:
    """``path`` is absolute, or empty where there is no place. ``problem``: why nothing can be kept there; else empty.

    Constructing changes nothing; the directory is made when something is kept first.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.problem = _obstacle(path)

    def prepare(self, uid: int = 0, gid: int = 0) -> None:
        """Remove what an interruption left, and let the user have the directory who this daemon will be (0: no other).

        That one cannot make it later. Called before there are threads.
        """
        for name in _files(self.path, fresh=True):
            with contextlib.suppress(OSError):
                _remove_left_over(os.path.join(self.path, name))
        if (uid or gid) and os.geteuid() == 0 and self.path:
            with contextlib.suppress(OSError):  # then he cannot write there, which is found out next
                make_directory(self.path)
                self._hand_over(uid or -1, gid or -1)
            with as_user(uid, gid):
                self.problem = _obstacle(self.path)

    def _hand_over(self, uid: int, gid: int) -> None:
        """Give the directory and our files away. One that others may enter is not for us alone, and stays; so does one
        that has other things in it, as somebody's home."""
        directory = open_trusted(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            before = os.fstat(directory)
            names = os.listdir(directory)
            ours = before.st_uid == uid or all(map(_OURS.fullmatch, names))
            if ours and stat.S_IMODE(before.st_mode) == DIRECTORY_MODE:
                os.fchown(directory, uid, gid)
                for name in filter(_is_whole, names):
                    give_away(name, directory, uid, gid)
        finally:
            os.close(directory)

    def unit(self, target: str, number: int, medium: str = "") -> FileState | None:
        """What LUN ``number`` over ``medium`` keeps; None where it keeps nothing and cannot. Raises StoreError."""
        if not self.path:
            return None
        state = FileState(os.path.join(self.path, file_name(target, number)), target, number, medium)
        if self.problem and state.empty:
            state.close()
            return None
        return state


def _obstacle(path: str) -> str:
    """Why this user can write nothing below ``path``, which may not exist; empty if he can."""
    if not path:
        return "there is no place for it, as this user has no home directory"
    place = path
    while not os.path.lexists(place) and place != os.path.dirname(place):
        place = os.path.dirname(place)
    if not os.path.isdir(place):
        return f"{place} is not a directory"
    if not os.access(place, os.W_OK | os.X_OK, effective_ids=True):
        return f"user {os.geteuid()} cannot write in {place}"
    return ""


def _files(path: str, *, fresh: bool) -> list[str]:
    """Names of our files: of those that are not whole, or of the others."""
    try:
        names = os.listdir(path)
    except OSError:
        return []
    return [name for name in names if _OURS.fullmatch(name) and _is_whole(name) is not fresh]


def _is_whole(name: str) -> bool:
    found = _OURS.fullmatch(name)
    return found is not None and not found["fresh"]


def make_directory(path: str) -> None:
    """Make a directory and those it is in, for good and for this user alone. Raises OSError."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for each in reversed(missing):
        try:
            os.mkdir(each, DIRECTORY_MODE)
        except FileExistsError:  # of a daemon that is being started just now
            continue
        try:
            _sync(os.path.dirname(each))
        except OSError:
            with contextlib.suppress(OSError):  # or nobody would see to it again that its name survives
                os.rmdir(each)
            raise


def _sync(directory: str) -> None:
    """Have the names in a directory survive a power cut. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # of a file system where a directory has nothing to bring anywhere
            raise
    finally:
        os.close(descriptor)


class FileState:
    """A UnitState in the file ``path``, which is locked against other daemons while there is one.

    ``medium`` tells it from others; empty: nobody asks. Constructing reads the file and changes nothing. Raises
    StoreError if it is not what this class wrote, or cannot be read.
    """

    __slots__ = (
        "_closed", "_descriptor", "_doubtful", "_lock", "_medium", "_number", "_sections", "_target", "_text",
        "elsewhere", "failing", "path",
    )

    def __init__(self, path: str, target: str, number: int, medium: str = "") -> None:
        self.path = path
        self.elsewhere = ""
        self._medium = medium
        self._target = target.lower()
        self._number = number
        self._lock = threading.Lock()
        self._descriptor = -1
        self._closed = False
        self._doubtful = False  #: whether the file may be another than ``_text``
        self.failing = ""  #: why the last attempt to write failed; the log says so already
        self._text = b""
        self._sections: Mapping[str, Any] = {}
        try:
            self._read()
        except BaseException:
            self.close()
            raise

    @property
    def empty(self) -> bool:
        return not self._sections

    def get(self, section: str) -> Any:
        return self._sections.get(section)

    def put(self, section: str, value: Any) -> None:
        """Raises ValueError or TypeError for what JSON cannot say."""
        kept = json.loads(json.dumps(value, allow_nan=False))  # as it would come back
        with self._lock:
            if self._closed:
                raise StoreError(errno.ENODEV, f"{self.path} is not written any more: the logical unit was removed")
            sections = {**self._sections, section: kept}
            if kept is None:
                del sections[section]
            text = self._said(sections)
            if text != self._text or self._doubtful:
                self._keep_and_log(text)
            self._sections, self._text = sections, text

    def close(self) -> None:
        """From now on ``put`` fails, and another may have the file; idempotent."""
        with self._lock:
            self._closed = True
            self._let_go()

    # Reading ------------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        try:
            self._descriptor = os.open(self.path, os.O_RDONLY | _OPEN)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise self.unusable(_reason(error), code=error.errno or errno.EIO) from error
        try:
            found = os.fstat(self._descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise self.unusable("it is not a regular file")
            if found.st_uid not in (0, os.geteuid(), os.stat(os.path.dirname(self.path)).st_uid):
                raise self.unusable(f"it belongs to user {found.st_uid}, who has no business here", code=errno.EACCES)
            _claim(self._descriptor)
            if not os.path.samestat(os.fstat(self._descriptor), os.lstat(self.path)):
                raise BlockingIOError(errno.EBUSY, "another daemon has replaced it")
            with open(self._descriptor, "rb", closefd=False) as file:
                text = file.read(LIMIT + 1)
        except BlockingIOError:
            raise self._in_use() from None
        except OSError as error:
            raise self.unusable(_reason(error), code=error.errno or errno.EIO) from error
        self._sections = self._understood(text)
        self._text = text

    def _understood(self, text: bytes) -> Mapping[str, Any]:
        """The sections that a file holds. Raises StoreError."""
        if len(text) > LIMIT:
            raise self.unusable(f"it has more than {LIMIT >> 20} MiB", code=errno.EFBIG)
        try:
            found = json.loads(text.decode("utf-8"))
        except UnicodeDecodeError as error:
            before = text[: error.start]
            place = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
            raise self.unusable("it is not UTF-8", place) from None
        except json.JSONDecodeError as error:
            raise self.unusable(error.msg, (error.lineno, error.colno)) from None
        except (RecursionError, ValueError) as error:
            raise self.unusable(str(error)) from None
        if not isinstance(found, dict) or not isinstance(found.get("sections"), dict):
            raise self.unusable("it is not a file of ietpy")
        if found.get("format") != FORMAT:
            raise self.unusable(f"its format is {found.get('format')}, not {FORMAT}")
        if (found.get("target"), found.get("lun")) != (self._target, self._number):
            raise self.unusable(f"it is about LUN {found.get('lun')} of {found.get('target')}")
        medium = found.get("medium", "")
        if not isinstance(medium, str):
            raise self.unusable(f"its medium is {medium!r}, not a string")
        self.elsewhere = medium if self._medium and medium != self._medium else ""
        sections: dict[str, Any] = found["sections"]
        return sections

    def unusable(self, reason: str, place: tuple[int, int] = (1, 1), code: int = errno.EINVAL) -> StoreError:
        """What to say where the file makes no sense; ``place``: line and column."""
        span = Span(self.path, *place)
        return StoreError(code, f"{span}: the kept state of the LUN cannot be used: {reason}; {_ADVICE}")

    def _in_use(self) -> StoreError:
        return StoreError(
            errno.EBUSY, f"{self.path} is in use by another daemon; stop that one, or start with another --state-dir"
        )

    # Writing ------------------------------------------------------------------------------------------------------

    def _said(self, sections: Mapping[str, Any]) -> bytes:
        """The file that holds ``sections``; empty for none. Raises StoreError."""
        if not sections:
            return b""
        medium = {"medium": self._medium} if self._medium else {}
        facts = {"format": FORMAT, "target": self._target, "lun": self._number, **medium, "sections": sections}
        text = json.dumps(facts, indent=1).encode("ascii") + b"\n"
        if len(text) > LIMIT:
            raise StoreError(errno.EFBIG, f"{self.path} would have more than {LIMIT >> 20} MiB")
        return text

    def _keep_and_log(self, text: bytes) -> None:
        """``_keep``; initiators are told no more than that the target failed."""
        try:
            self._keep(text)
        except StoreError as problem:
            if not self.failing:
                Event.STATE_NOT_KEPT.tell(
                    log, "what LUN %d of %s is to keep cannot be kept: %s", self._number, self._target, problem,
                    lun=self._number, target=self._target,
                )
            self.failing = str(problem)
            raise
        if self.failing:
            Event.STATE_KEPT.tell(
                log, "what LUN %d of %s is to keep can be kept again", self._number, self._target,
                lun=self._number, target=self._target,
            )
        self.failing = ""

    def _keep(self, text: bytes) -> None:
        """Let the file be ``text``. Raises StoreError; then it is what it was."""
        directory = os.path.dirname(self.path)
        try:
            make_directory(directory)
            self._install(text)
            self._doubtful = True
            try:
                _sync(directory)
            except OSError:
                self._install(self._text)
                raise
        except BlockingIOError:
            raise self._in_use() from None
        except OSError as error:
            raise self._failed("be written", error) from error
        self._doubtful = False

    def _install(self, text: bytes) -> None:
        """Put ``text`` in the place of the file, at once; nothing if it is empty. Raises OSError."""
        if not text:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
            self._let_go()
            return
        if self._descriptor < 0 and os.path.lexists(self.path):
            raise BlockingIOError(errno.EBUSY, "another daemon has made it")
        fresh = f"{self.path}.{secrets.token_hex(4)}{_FRESH}"
        descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | _OPEN, FILE_MODE)
        try:
            _claim(descriptor)
            with open(descriptor, "wb", closefd=False) as file:
                file.write(text)
            os.fsync(descriptor)
            os.replace(fresh, self.path)
        except BaseException:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                os.unlink(fresh)
            raise
        self._let_go()
        self._descriptor = descriptor

    def _let_go(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _failed(self, doing: str, error: OSError) -> StoreError:
        return StoreError(error.errno or errno.EIO, f"{self.path} cannot {doing}: {_reason(error)}")


def _remove_left_over(path: str) -> None:
    """Remove what is not whole, unless another daemon is writing it just now. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | _OPEN)
    try:
        _claim(descriptor)
        os.unlink(path)
    finally:
        os.close(descriptor)


def _claim(descriptor: int) -> None:
    """Lock a file against other daemons, where its file system can. Raises BlockingIOError if another one has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        pass  # NFS, for one, locks only what is open for writing


def _reason(error: OSError) -> str:
    return os.strerror(error.errno or errno.EIO)
