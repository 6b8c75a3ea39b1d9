"""A network link that can be cut: a proxy on loopback between a client and a server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CHUNK = 1 << 16


class Link:
    """Forwards connections to a port; while it is cut, they are refused.

    Attributes:
        port: Where it listens, before and after a cut alike.
        swallowed: How many answers were lost so far.
        dropped: First lines of the requests that were dropped so far.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        self._losing = 0
        self._dropping = False
        self.swallowed = 0
        self.dropped: list[str] = []
        self.port = 0
        self._listener: socket.socket | None = None
        self.mend()

    def mend(self) -> None:
        """Forward again, at the same port as before."""
        self._dropping = False
        if self._listener is not None:
            return
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """End all connections and refuse new ones."""
        assert self._listener is not None
        # A close alone would leave the thread in accept, and the port open with it.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._listener = None
        self._end_all()

    def drop_requests(self) -> None:
        """End all connections, and from now on each new one once its request has been read."""
        self._dropping = True
        self._end_all()

    def _end_all(self) -> None:
        with self._guard:
            victims = list(self._open)
        for victim in victims:
            _end(victim)

    def lose_answers(self, number: int) -> None:
        """Let the next requests through, but drop the connection in place of their answer."""
        self._losing = number

    def close(self) -> None:
        if self._listener is not None:
            self.cut()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            if self._dropping:
                threading.Thread(target=self._drop, args=(client,), daemon=True).start()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                _end(client)
                continue
            with self._guard:
                self._open |= {client, server}
            for job in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pump, args=job, daemon=True).start()

    def _drop(self, client: socket.socket) -> None:
        with suppress(OSError):
            self.dropped.append(client.recv(CHUNK).partition(b"\r\n")[0].decode())
        _end(client)

    def _pump(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                if answers and self._losing > 0 and b"100 Continue" not in data[:40]:
                    self._losing -= 1
                    self.swallowed += 1
                    break
                target.sendall(data)
        _end(source)
        _end(target)
        with self._guard:
            self._open -= {source, target}


def _end(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextmanager
def weak_link(target: int) -> Iterator[Link]:
    """A link to a port of this machine."""
    link = Link(target)
    try:
        yield link
    finally:
        link.close()
