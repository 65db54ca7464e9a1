"""From a command line to a running daemon: check, lock, open, bind, detach, start threads.

Everything that can fail fails before detaching, in the process the user is looking at. python-daemon's
parent leaves with os._exit(0) at once, so ``start`` forks a child that detaches, and learns from a pipe how
that went.
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ietpy.admin import service
from ietpy.admin.operations import perform
from ietpy.admin.paths import state_directory
from ietpy.config.access import AccessFiles
from ietpy.config.load import load, loads, nothing
from ietpy.config.model import Configuration
from ietpy.config.secret_files import resolved
from ietpy.daemon import logs
from ietpy.daemon.activation import passed
from ietpy.daemon.administration import Administration
from ietpy.daemon.assemble import lasting
from ietpy.daemon.confine import gain_nothing, leave_no_core
from ietpy.daemon.instance import Instance
from ietpy.daemon.inventory import Inventory
from ietpy.daemon.media import LETTING_GO, OPENING, Media
from ietpy.daemon.naming import Naming
from ietpy.daemon.options import Places, StartOptions
from ietpy.daemon.pidfile import PidFile
from ietpy.daemon.portals import Portals, check
from ietpy.daemon.publish import Publisher
from ietpy.daemon.supervisor import PATIENCE, Supervisor
from ietpy.daemon.troubles import stuck
from ietpy.daemon.watching import Watching
from ietpy.errors import ConfigError, IetpyError, UsageError
from ietpy.server.capacity import ask_for_descriptors
from ietpy.server.listener import Server
from ietpy.stores.state import StateDirectory

if TYPE_CHECKING:
    from ietpy.daemon.front import Front

UMASK: Final = 0o077  #: what others are to read is given its mode where it is made
_READY: Final = b"ready "
_FAILED: Final = b"failed "

Say = Callable[[str], None]


def read_configuration(options: StartOptions, *, regular: bool = False) -> Configuration:
    """The configuration ``options`` lead to, with what was found in it and in its companion files.

    ``regular``: from a regular file only, where nobody watches who could end a wait for another kind.

    Raises ConfigError; in the strict mode for every error found.
    """
    if options.lenient and options.config and not os.path.lexists(options.config):
        configuration = nothing(options.config, options.compat)
    else:
        configuration = load(options.config or None, options.compat or None, regular=regular)
    return _usable(configuration, options)


def reread_configuration(options: StartOptions, file: Callable[[], str], text: str | None) -> Configuration:
    """As ``read_configuration`` of a regular file; of ``text`` in its place, if there is one. ``file``: its name."""
    if text is None:
        return read_configuration(options, regular=True)
    return _usable(resolved(loads(text, file(), options.compat or None), os.environ), options)


def _usable(configuration: Configuration, options: StartOptions) -> Configuration:
    """With what was found in its companion files. Raises ConfigError."""
    found = (*configuration.diagnostics, *AccessFiles(compat=configuration.compat).diagnostics())
    if configuration.compat == "strict" and any(diagnostic.severity == "error" for diagnostic in found):
        raise ConfigError(found)
    check(configuration, options)
    return configuration.with_diagnostics(found)


def prepare(options: StartOptions, places: Places, held: Sequence[socket.socket] = ()) -> Instance:
    """Everything opened, bound and locked; no thread started. Raises IetpyError with what is wrong.

    ``held``: listening sockets that others hold open for us.
    """
    ours = options.uid in (0, os.geteuid()) and options.gid in (0, os.getegid())
    if not ours and os.geteuid() != 0:
        raise UsageError(f"only root can start a daemon of user {options.uid}, group {options.gid} (-u, -g)")
    configuration = read_configuration(options)
    options = replace(options, state_dir=options.state_dir or state_directory(dict(os.environ), os.geteuid()))
    places.prepare()
    count = process_count(options, configuration)
    with ExitStack() as undo:
        nursery = None
        if count > 1:
            from ietpy.daemon import front

            nursery = front.nursery(not options.foreground, UMASK)  # workers hold nothing that is opened below
            undo.callback(nursery.close)
        pid_file = PidFile.acquire(places.pid_file)
        undo.callback(pid_file.release)
        base = os.getcwd() if options.foreground else "/"
        media = Media(base, until=time.monotonic() + LETTING_GO if pid_file.stale else 0.0)
        states = StateDirectory(options.state_dir)
        states.prepare(options.uid, options.gid)
        workers = None
        if nursery is not None:
            workers = front.Front.open(nursery, count, configuration, options, states, media)
        inventory = workers.inventory if workers else Inventory(configuration, media, states=states)
        server = workers.server if workers else Server(inventory.node)
        undo.callback(inventory.close)
        portals = Portals(options, held=held)
        undo.callback(portals.close)
        portals.open(configuration, server)
        control = service.bind(places.control)
        undo.callback(control.close)
        watching = Watching(options, configuration)
        watching.open()
        undo.callback(watching.close)
        instance = compose(options, places, inventory, server, pid_file, control, portals, watching, workers)
        instance.publisher.prepare(options.uid, options.gid)
        undo.pop_all()
    return instance


def process_count(options: StartOptions, configuration: Configuration) -> int:
    """How many processes are to serve."""
    wanted = configuration.processes if options.processes is None else options.processes
    return wanted or len(os.sched_getaffinity(0))


def compose(
    options: StartOptions,
    places: Places,
    inventory: Inventory,
    server: Server,
    pid_file: PidFile,
    control: socket.socket,
    portals: Portals,
    watching: Watching,
    workers: Front | None = None,
) -> Instance:
    """The parts of a daemon, told of each other."""
    naming = Naming(
        targets=lambda: [target.name for target in inventory.node.targets.values()],
        portal_port=lambda: next((portal.port for portal in server.portals()), options.port),
        advertised=lambda: next((portal.advertised for portal in server.portals()), ""),
    )
    # A file that vanished changes nothing.
    rereading = replace(options, lenient=False)
    read = functools.partial(reread_configuration, rereading, lambda: inventory.configuration.file)
    administration = Administration(
        options, inventory, server, isns=naming,
        reread=lambda text: instance.reread(text), read=read, publish=lambda: publisher.publish(),
        published=places.published, metrics=watching.place,
    )
    inventory.elsewhere = lambda: [
        *portals.problems, *watching.problems,
        *stuck(server.stuck.facts(), inventory.all(), inventory.configuration.file),
    ]
    inventory.rules.gate = naming
    publisher = Publisher(places.published, {"volume": administration.volume, "session": administration.session})
    inventory.units.transport = server
    inventory.media.patience = OPENING  # from now on there may be threads
    inventory.changed = server.sessions_changed = publisher.changed
    answer = functools.partial(perform, administration) if workers is None else workers.relay(administration)
    if workers is not None:
        workers.fleet.changed = publisher.changed
    control_service = service.Service(control, answer)
    instance = Instance(
        options, inventory, server, pid_file, publisher, naming, administration, control_service, portals, watching,
        read=read,
    )
    return instance


def start(
    options: StartOptions, places: Places, say: Say, complain: Say, log_format: str = logs.FORMAT
) -> int:
    """Start a daemon and return the exit status: at once when detached, at its end in the foreground."""
    inherited = descriptors()
    leave_no_core(options.core)
    gain_nothing()
    held = passed(os.environ)
    ask_for_descriptors()  # workers, too, have what it brings
    with lasting():
        instance = prepare(options, places, held)
    for diagnostic in (*instance.inventory.configuration.diagnostics, *instance.inventory.problems):
        complain(str(diagnostic))
    if options.foreground:
        plain = log_format == logs.FORMAT and not options.log_format  # nobody has asked for a form of lines
        logs.set_up(True, options.debug, log_format, options.log_format == "json", journal=plain)
        instance.supervisor = Supervisor.of(os.environ)
        os.umask(UMASK)
        return instance.run(lambda: announce(instance, say))
    ours = (descriptors() - inherited).union(sock.fileno() for sock in held)
    return detach(instance, ours, say)


def announce(instance: Instance, say: Say) -> None:
    """Say that a foreground daemon serves; to a supervisor too that asked for it (sd_notify(3))."""
    say(f"ietpy-daemon: {instance.summary()} (pid {os.getpid()})")
    instance.supervisor.tell("READY=1", PATIENCE)


def detach(instance: Instance, preserve: Iterable[int], say: Say) -> int:
    """Leave a daemon behind. The caller's process ends when all is up; the daemon returns at its end."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork():
        os.close(writer)
        pid = await_ready(reader)
        say(f"ietpy-daemon: {instance.summary()} (pid {pid})")
        sys.stdout.flush()
        os._exit(0)  # taking the interpreter apart, with all that the daemon has, took as long as opening it (2026-11)
    os.close(reader)
    with Report(writer) as report:
        become_daemon([*preserve, writer])
        logs.set_up(False, instance.options.debug, as_json=instance.options.log_format == "json")
        return instance.run(report.ready)


def become_daemon(preserve: list[int]) -> None:
    """python-daemon's part: new session, no terminal, "/" as directory, every other descriptor closed."""
    import signal

    from daemon import DaemonContext
    from daemon.daemon import DaemonError

    # Not "if needed": its guess takes a container's pid 1 or a socket as stdin for a reason not to detach.
    context = DaemonContext(
        detach_process=True,
        files_preserve=preserve,
        umask=UMASK,
        prevent_core=False,  # that is decided (``leave_no_core``)
        working_directory="/",
        signal_map={signal.SIGTTIN: None, signal.SIGTTOU: None, signal.SIGTSTP: None, signal.SIGPIPE: None},
        pidfile=None,
    )
    try:
        context.open()
    except DaemonError as error:
        raise IetpyError(f"cannot detach: {error}") from None


class Report:
    """The daemon's end of the pipe: one word about how starting went, then closed.

    Leaving the context with an error before ``ready`` reports that error's sentence.
    """

    def __init__(self, writer: int) -> None:
        self._writer = writer
        self._open = True

    def __enter__(self) -> Report:
        return self

    def ready(self) -> None:
        self._tell(_READY + str(os.getpid()).encode())

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self._tell(_FAILED + str(error).encode("utf-8", "replace"))

    def _tell(self, word: bytes) -> None:
        if self._open:
            self._open = False
            with contextlib.suppress(BrokenPipeError):  # whoever started us has gone; serve nevertheless
                os.write(self._writer, word)
            os.close(self._writer)


def await_ready(reader: int) -> int:
    """The daemon's pid once it serves. Raises IetpyError with its reason when it does not come to that."""
    with open(reader, "rb") as pipe:
        word = pipe.read()
    if word.startswith(_READY):
        return int(word.removeprefix(_READY))
    reason = word.removeprefix(_FAILED).decode("utf-8", "replace")
    raise IetpyError(f"the daemon ended while starting: {reason or 'see the system log'}")


def descriptors() -> set[int]:
    """Open file descriptors. What is new after ``prepare`` is ours: stores keep theirs to themselves."""
    directory = "/proc/self/fd"
    # Listing opens one more, gone when the list is here.
    return {int(name) for name in os.listdir(directory) if os.path.lexists(os.path.join(directory, name))}
