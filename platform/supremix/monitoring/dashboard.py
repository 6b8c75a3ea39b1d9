"""optuna-dashboard on a run, also while it goes on."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from optuna.storages import BaseStorage

from supremix.errors import RunFolderError, SpecError
from supremix.monitoring.inspect import runs_in
from supremix.monitoring.optuna_journal import JournalStudy, open_journal
from supremix.runs.folder import RunFolder, read_json
from supremix.storage.paths import Address
from supremix.tuning.ledger.tail import Tail
from supremix_spaces import Space

READING = ("GET", "HEAD")
"""What a browser may do: look."""


class Dashboard(AbstractContextManager["Dashboard", None]):
    """A server that shows a run's studies; a context manager.

    Args:
        run: Folder of a search, a comparison, or a search on several datasets, at any address.
        host: Address to listen on.
        port: 0 for one that is free.
        interval: Seconds between two looks at the run.
        journal: A new file for Optuna's journal; None for one that is deleted in the end.

    Raises:
        SpecError: optuna-dashboard is not installed, the port is taken, or `journal` exists.
        RunFolderError: It is no run's folder, or its space is not known.
    """

    def __init__(
        self,
        run: Address,
        *,
        host: str = "127.0.0.1",
        port: int = 8080,
        interval: float = 2.0,
        journal: str | Path | None = None,
    ) -> None:
        wsgi = _import_wsgi()
        if journal is not None and Path(journal).exists():
            raise SpecError(f"{journal} exists already; name a new file for the journal.")
        self._interval, self._over = interval, threading.Event()
        with ExitStack() as stack:
            if journal is None:
                scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="supremix-"))
                journal = Path(scratch) / "journal.log"
            self._follower = _Follower(runs_in(run), open_journal(journal))
            self._follower.look()
            # A storage of its own, as if it were another process.
            self._server = _listen(host, port, _read_only(wsgi(open_journal(journal))))
            self._resources = stack.pop_all()
        self._thread = threading.Thread(target=self._follow, name="dashboard", daemon=True)
        self.problem: Exception | None = None

    @property
    def address(self) -> str:
        """The address to open in a browser."""
        host, port = self._server.server_address[:2]
        return f"http://{host}:{port}"

    def serve(self) -> None:
        """Answer requests until `stop`, or Ctrl-C.

        Raises:
            RunFolderError: The run cannot be read any more.
        """
        self._thread.start()
        self._server.serve_forever(poll_interval=0.2)
        if self.problem is not None:
            raise self.problem

    def stop(self) -> None:
        """Have `serve` return; to be called from another thread."""
        self._server.shutdown()

    def _follow(self) -> None:
        while not self._over.wait(self._interval):
            try:
                self._follower.look()
            except RunFolderError as error:
                self.problem = error
                self._server.shutdown()
                return

    def __exit__(self, *error: object) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        self._server.server_close()
        self._resources.close()


class _Follower:
    """Brings a storage up to date with the ledgers of runs, each of which becomes a study."""

    def __init__(self, runs: Iterable[RunFolder], storage: BaseStorage) -> None:
        self._storage = storage
        self._runs = [(run, Tail(run.ledger)) for run in runs]
        self._studies: dict[str, JournalStudy] = {}

    def look(self) -> int:
        """Take over what is new.

        Returns:
            The number of new events.

        Raises:
            RunFolderError: A ledger is damaged, or the space of a run is not known.
        """
        return sum(self._follow(run, tail) for run, tail in self._runs)

    def _follow(self, run: RunFolder, tail: Tail) -> int:
        if run.name not in self._studies:
            space = _space_of(run)
            if space is None:
                return 0
            self._studies[run.name] = JournalStudy(self._storage, run.name, space)
        return self._studies[run.name].follow(tail.new())


def _space_of(run: RunFolder) -> Space | None:
    """What a run searches; None before it has begun."""
    if run.space.is_file():
        return Space.from_dict(read_json(run.space))
    if next(Tail(run.ledger).new(), None) is None:
        return None
    raise RunFolderError(
        f"{run.path} has trials but no {run.space.name}, which says what is searched, so Optuna "
        "cannot show them. Go on with the run by --resume, which writes it, or copy it from a run "
        "with the same method and data."
    )


def _import_wsgi() -> Callable[[Any], Any]:
    try:
        from optuna_dashboard import wsgi
    except ImportError as error:
        raise SpecError(
            f"the dashboard needs a package that is not installed ({error.name}): "
            "pip install 'supremix[dashboard]'"
        ) from error
    return wsgi


class _Server(ThreadingMixIn, WSGIServer):
    """A request may take long, and a browser makes several."""

    daemon_threads = True


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """A line for every request would hide the address."""


def _listen(host: str, port: int, app: Any) -> WSGIServer:
    try:
        return make_server(host, port, app, server_class=_Server, handler_class=_Silent)
    except OSError as error:
        raise SpecError(
            f"cannot listen on {host}:{port}: {error.strerror or error}. Name another --port, or 0 "
            "for one that is free."
        ) from error


def _read_only(app: Any) -> Any:
    """Refuse every request that would change the journal: the run itself would not follow."""

    def answer(environ: dict[str, Any], start: Any) -> Any:
        if environ["REQUEST_METHOD"] in READING:
            return app(environ, start)
        body = json.dumps({"reason": "supremix shows a run here; it cannot be changed."}).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start("405 Method Not Allowed", headers)
        return [body]

    return answer
