"""What the control socket can ask of a running daemon (``admin.operations``): facts, and IET's live changes.

Targets go by IET's tid, sessions by IET's sid; texts are ietd.conf's. Wrong requests are AdminErrors with IET's errno.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import ietpy
from ietpy.admin import proc
from ietpy.config.files import read_file
from ietpy.config.live import SOURCE, lun_parameters, one_line, redirection, target_keys, target_name
from ietpy.config.load import loads
from ietpy.config.model import Account, Configuration, TargetConfig, meaning
from ietpy.config.options import OPTIONS, Reader, Scope
from ietpy.config.syntax import to_bytes
from ietpy.daemon.inventory import Inventory
from ietpy.daemon.options import StartOptions
from ietpy.daemon.served import ServedTarget, configured, negotiated, problem_facts
from ietpy.errors import AdminError, ConfigError, Span
from ietpy.iscsi.connection import Connection
from ietpy.iscsi.session import Session
from ietpy.iscsi.target import Portal, TargetNode

#: Seconds to wait for the end of a session, whose commands may wait for a device, and between looks at it.
PATIENCE: Final = 2.0
_PAUSE: Final = 0.005
#: Seconds for sessions of a target that is drained, of which those who do not log out take two. With what its media may
#: take (``inventory.PATIENCE``) less than clients of the control socket wait, and than a front waits for its worker.
DRAIN: Final = 4.0
ACCOUNT_LIMIT: Final = 255  #: bytes of a name, and of a secret (iet-compat 1.7)
_BY_HAND: Final = Span(SOURCE, 0, 0)  #: where what ietadm made stands in a file: nowhere yet


class Network(Protocol):
    """What administration asks of ``server.listener.Server``."""

    def sessions(self) -> list[dict[str, Any]]: ...

    def usage(self) -> list[dict[str, Any]]: ...

    @property
    def measure(self) -> Callable[[], None]: ...

    def portals(self) -> list[Portal]: ...

    def end_connection(self, connection: Connection) -> None: ...

    def dismiss(self, target: TargetNode, timeout: float) -> None: ...

    def end_sessions(self, sessions: Sequence[Session], timeout: float) -> list[bool]: ...


class Names(Protocol):
    """What administration asks of ``daemon.naming.Naming``."""

    def deregister(self) -> None: ...

    def facts(self) -> dict[str, Any] | None: ...


@dataclass(frozen=True, slots=True)
class _Adopted:
    """A text that is served in place of the file's, which was ``over`` then; both may hold secrets."""

    text: str = field(repr=False)
    over: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Rewritten:
    """What came of writing ``configuration`` into ``base``; who changes things asks again and again. Texts may hold
    secrets."""

    base: str = field(repr=False)
    configuration: Configuration
    after: str = field(repr=False)

    def answers(self, base: str, configuration: Configuration) -> bool:
        return self.base == base and self.configuration is configuration


@dataclass
class Administration:
    """``reread`` reads the configuration again, or a text in its place, and applies it; it says what the steps of that
    were, what it could not do and what it found. ``read`` reads alone.

    ``publish`` makes the files below ``published`` current, so that whoever was answered finds them so.
    """

    options: StartOptions
    inventory: Inventory
    network: Network
    reread: Callable[[str | None], dict[str, list[Any]]]
    read: Callable[[str | None], Configuration]
    publish: Callable[[], None]
    published: str
    isns: Names
    #: Plain facts about worker processes, where there are any.
    processes: Callable[[], list[dict[str, Any]]] = list
    metrics: str = ""  #: where they are to be had; empty: nowhere
    started: float = field(default_factory=time.time)  #: seconds of the epoch
    _handed_out: str | None = None  #: the text that the last asker was given to put in place
    _in_place: str | None = None  #: one that was handed out earlier, and is the file's
    _adopted: _Adopted | None = None
    _last: _Rewritten | None = None

    # Facts --------------------------------------------------------------------------------------------------------

    def ping(self) -> str:
        return "pong"

    def status(self) -> dict[str, Any]:
        inventory = self.inventory
        problems = inventory.problems
        return {
            "version": ietpy.__version__,
            "pid": os.getpid(),
            "started": self.started,
            "config": inventory.configuration.file,
            "compat": inventory.configuration.compat,
            "options": self.options.facts(),
            "published": self.published,
            "metrics": self.metrics,
            "portals": [portal._asdict() for portal in self.network.portals()],
            "targets": self.targets(),
            "sessions": self.sessions(),
            "isns": self.isns.facts(),
            "processes": self.processes(),
            "usage": self.network.usage(),
            "degraded": any(problem.severity == "error" for problem in problems),
            "problems": [problem_facts(problem) for problem in problems],
        }

    def targets(self) -> list[dict[str, Any]]:
        return self.inventory.facts()

    def sessions(self) -> list[dict[str, Any]]:
        self.network.measure()
        return self.network.sessions()

    def volume(self) -> str:
        return proc.volume(self.targets())

    def session(self) -> str:
        return proc.session(self.targets(), self.network.sessions())

    # Targets ------------------------------------------------------------------------------------------------------

    def create_target(self, tid: int, name: str) -> int:
        """The number it got."""
        tid = self.inventory.add_target(
            TargetConfig(
                target_name(name), _BY_HAND, chap_algorithms=self.inventory.configuration.chap_algorithms
            ), tid,
        )
        self.publish()
        return tid

    def delete_target(self, tid: int) -> None:
        """Sessions that are ending already, as after a logout, are waited for."""
        node = self.inventory.target(tid).node
        _wait_while(lambda: node.ending_only)
        self.inventory.remove_target(tid)
        self.publish()

    def drain_target(self, tid: int) -> None:
        """Delete a target with its sessions: nobody logs in any more, and who is there is asked to log out.

        Raises AdminError (EBUSY) when commands do not end; then the target stays, without the sessions.
        """
        target = self.inventory.target(tid)
        self.inventory.node.remove(target.node)
        try:
            self.network.dismiss(target.node, DRAIN)
            self.inventory.remove_target(tid)
        finally:
            if self.inventory.targets.get(tid) is target:  # it was not deleted, for whatever reason
                self.inventory.node.offer_again(target.node)
        self.publish()

    def show_target(self, tid: int) -> dict[str, str]:
        """Options that are not negotiated; those never set as IET had them (decisions 7)."""
        config = self.inventory.target(tid).config
        rows = [row for row in OPTIONS if row.scope is Scope.TARGET and row.reader is Reader.VALUE and row.attribute]
        values = {row.name: getattr(config, row.attribute, None) for row in rows}
        return {row.name: row.iet_default if values[row.name] is None else str(values[row.name]) for row in rows}

    def update_target(self, tid: int, values: dict[str, str]) -> None:
        self.inventory.target(tid)  # whether there is one comes before what is wrong with the values
        if not all(isinstance(value, str) for value in values.values()):
            raise AdminError(errno.EINVAL, "values are texts, as in ietd.conf")
        fields, keys = target_keys(values, self._mode)
        self.inventory.reconfigure(tid, fields, keys)
        self.publish()

    def redirect_target(self, tid: int, address: str) -> None:
        self.inventory.redirect(tid, redirection(address))

    # Sessions -----------------------------------------------------------------------------------------------------

    def show_session(self, tid: int, sid: int) -> dict[str, str]:
        """Session parameters: as configured if ``sid`` is 0, else as negotiated."""
        target = self.inventory.target(tid)
        return configured(target.config) if not sid else negotiated(self._session(target, sid).parameters)

    def close_connection(self, tid: int, sid: int, cid: int) -> None:
        """Returns when it has gone, with the last one the session: who ends it deletes its target next (openQRM)."""
        session = self._session(self.inventory.target(tid), sid)
        connections = {**{each.cid: each for each in session.stranded}, **session.connections}
        if cid not in connections:
            known = ", ".join(map(str, connections))
            raise AdminError(errno.EEXIST, f"session {sid} has no connection {cid}, only {known}")
        self.network.end_connection(connections[cid])
        gone = session.tsih, cid
        _wait_while(lambda: any((each["tsih"], each["cid"]) == gone for each in self.network.sessions()))
        self.publish()

    def end_sessions(self, tid: int, sids: list[int], politely: bool) -> dict[str, bool]:
        """Which of them are gone because their initiators logged out; the others were closed. All may log in again.

        Returns when they have gone, or commands do not end. Raises AdminError (ENOENT) before anything is ended.
        """
        target = self.inventory.target(tid)
        if not all(isinstance(sid, int) for sid in sids):
            raise AdminError(errno.EINVAL, "sids are numbers of sessions")
        sessions = [self._session(target, sid) for sid in dict.fromkeys(sids)]
        asked = self.network.end_sessions(sessions, DRAIN if politely else 0.0)
        gone = {session.tsih for session in sessions}
        name = target.config.name
        _wait_while(lambda: any(each["tsih"] in gone and each["target"] == name for each in self.network.sessions()))
        self.publish()
        return {str(sid): out for sid, out in zip(dict.fromkeys(sids), asked, strict=True)}

    def _session(self, target: ServedTarget, sid: int) -> Session:
        with target.node.device.lock:
            sessions = list(target.node.sessions.values())
        for session in sessions:
            if proc.session_id(session.isid, session.tsih) == sid:
                return session
        raise AdminError(errno.ENOENT, f"{target.config.name} has no session {sid}; see ietpy proc session")

    # Logical units ------------------------------------------------------------------------------------------------

    def create_lun(self, tid: int, lun: int, parameters: str) -> None:
        self.inventory.check_lun_free(tid, lun)
        self.inventory.add_lun(tid, lun_parameters(lun, parameters, self._mode))
        self.publish()

    def delete_lun(self, tid: int, lun: int) -> None:
        self.inventory.remove_lun(tid, lun)
        self.publish()

    def resize_lun(self, tid: int, lun: int, size: int, force: bool) -> dict[str, Any]:
        result = self.inventory.resize_lun(tid, lun, size, force)
        self.publish()
        return result

    # Accounts: of discovery where tid is 0 -------------------------------------------------------------------------

    def create_account(self, tid: int, outgoing: bool, name: str, secret: str) -> None:
        if not name or not secret:
            raise AdminError(errno.EINVAL, "an account needs a name and a secret")
        if max(len(to_bytes(name)), len(to_bytes(secret))) > ACCOUNT_LIMIT:
            raise AdminError(errno.EINVAL, f"a name and a secret have at most {ACCOUNT_LIMIT} bytes")
        account = Account(one_line("the name", name), one_line("the secret", secret), _BY_HAND)
        with self.inventory.turn():
            incoming, ours = self.inventory.accounts_of(tid)
            self.inventory.set_accounts(tid, *((incoming, account) if outgoing else ((*incoming, account), ours)))

    def delete_account(self, tid: int, outgoing: bool, name: str) -> None:
        """The newest of its name; an older one with this name counts again."""
        with self.inventory.turn():
            account = self._account(tid, outgoing, name)
            incoming, ours = self.inventory.accounts_of(tid)
            left = tuple(each for each in incoming if each is not account)
            self.inventory.set_accounts(tid, left, None if outgoing else ours)

    def show_accounts(self, tid: int) -> dict[str, Any]:
        """Names alone: incoming, newest first, and outgoing."""
        incoming, outgoing = self.inventory.accounts_of(tid)
        names = [account.name for account in reversed(incoming)]
        return {"incoming": names, "outgoing": None if outgoing is None else outgoing.name}

    def show_account(self, tid: int, outgoing: bool, name: str) -> str:
        return self._account(tid, outgoing, name).secret

    def _account(self, tid: int, outgoing: bool, name: str) -> Account:
        incoming, ours = self.inventory.accounts_of(tid)
        known = (() if ours is None else (ours,)) if outgoing else reversed(incoming)
        for account in known:
            if account.name == name:
                return account
        raise AdminError(errno.ENOENT, "there is no account of this name in this scope")

    # The whole ----------------------------------------------------------------------------------------------------

    def deregister(self) -> None:
        """What ``ietadm --op delete`` alone did: leave the iSNS server; targets stay."""
        self.isns.deregister()

    def plan(self, text: str | None) -> dict[str, Any]:
        """What ``adopt`` of this text would do, or ``reload`` for None: "steps", and what is wrong with it ("found").

        Raises ConfigError when it cannot be used.
        """
        configuration = self.read(text)
        return {
            "file": configuration.file,
            "steps": [step.facts() for step in self.inventory.plan(configuration)],
            "found": [str(each) for each in configuration.diagnostics],
        }

    def reload(self) -> dict[str, list[Any]]:
        """Serve what the file says now: the steps of that ("steps", as of ``plan``), what could not be done ("unable"),
        and what is wrong ("found"), in sentences.

        Raises ConfigError when the file cannot be used; then nothing has changed.
        """
        result = self.reread(None)
        self._adopted = None
        self.publish()
        return result

    def adopt(self, text: str) -> dict[str, list[Any]]:
        """Serve what this text of ietd.conf says, as ``reload`` does with the file, which stays as it is.

        ``rewritten`` has this text from now on, with what changes after it: who takes the text from there, edits it
        and hands it in keeps all comments.
        """
        over = self._text()
        result = self.reread(text)
        self._adopted = _Adopted(text, over)
        self.publish()
        return result

    def rewritten(self, force: bool) -> dict[str, str]:
        """The configuration file with what was changed since written into it; the asker puts it in place.

        Raises AdminError (EBUSY) when it was edited since it was read, unless ``force``, and ConfigError when it has
        mistakes that cannot be edited around.
        """
        from ietpy.config.writer import rewrite

        configuration = self.inventory.configuration
        text = self._text()
        known = text in (self._handed_out, self._in_place)
        if not known:
            now = meaning(loads(text, configuration.file, self.options.compat or None))
            known = now in (meaning(self.inventory.loaded), meaning(configuration))
        if not (known or force):
            raise AdminError(
                errno.EBUSY,
                f"{configuration.file} was edited since it was read; ietpy-daemon reload takes what it says now and"
                " gives up what was changed by hand, ietpy save --force the other way round",
            )
        if known:  # also when the next asker is handed another text, and does not put it in place
            self._in_place = text
        adopted = self._adopted
        compat, file = self.options.compat or None, configuration.file
        try:
            base = text if adopted is None or adopted.over != text else adopted.text
            same = self._last if self._last is not None and self._last.answers(base, configuration) else None
            after = same.after if same is not None else rewrite(base, configuration, compat=compat, file=file)
            self._last = _Rewritten(base, configuration, after)
        except ConfigError:  # what ietadm cannot change, a text that was adopted can have changed
            if adopted is None or adopted.over == text:
                raise
            after = rewrite(adopted.text, configuration, compat=compat, file=file)
        self._handed_out = after
        return {"file": file, "before": text, "after": after}

    def _text(self) -> str:
        """What stands in the configuration file; empty without one. Raises AdminError."""
        file = self.inventory.configuration.file
        try:
            return read_file(file, regular=True)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise AdminError(error.errno or errno.EIO, f"{file}: {error.strerror}") from None
            return ""

    @property
    def _mode(self) -> str:
        return self.inventory.configuration.compat


def _wait_while(condition: Callable[[], bool]) -> None:
    """Until it holds no more, or ``PATIENCE`` is over."""
    deadline = time.monotonic() + PATIENCE
    while condition() and time.monotonic() < deadline:
        time.sleep(_PAUSE)
