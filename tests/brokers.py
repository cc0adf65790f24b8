"""RabbitMQ out of Debian's package, as a private node of this test session; and what waits in either broker."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import redis

from sandbox.stack.ports import reserved
from shared.broker import DEAD_LETTERS
from shared.queues import Queue

#: Set by `.ci/run`: there a missing RabbitMQ is a failure, elsewhere a reason to skip.
REQUIRED = "COUNTERMAND_REQUIRE_RABBITMQ"

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # the wrapper in /usr/sbin wants to be its own user

#: Ends a program together with the process of the tests that started it, however that ends.
MORTAL = ("setpriv", "--pdeathsig", "TERM")

#: How to speak to the nodes of this session with RabbitMQ's own tools, by URL.
_NODES: dict[str, dict[str, str]] = {}


@contextmanager
def rabbitmq(root: Path) -> Iterator[str]:
    """Run one node on free loopback ports below `root`; yields its URL, and ends it by its process group."""
    if not SERVER.exists() or shutil.which("erl") is None:
        if os.environ.get(REQUIRED):
            pytest.fail("RabbitMQ is required here, and Debian's rabbitmq-server is not installed")
        pytest.skip("Debian's rabbitmq-server is not installed")
    with reserved(("broker", "distribution", "names"), {}) as ports:
        yield from _node(root, ports["broker"], ports["distribution"], ports["names"])


def _node(root: Path, port: int, distribution: int, names: int) -> Iterator[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(root),
        "RABBITMQ_NODENAME": f"countermand{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_MNESIA_BASE": str(root / "mnesia"),
        "RABBITMQ_LOG_BASE": str(root / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(root / "enabled_plugins"),
        "RABBITMQ_CONF_ENV_FILE": str(root / "rabbitmq-env.conf"),
        # Quorum queues tell how full they are once a tick, which is five seconds otherwise.
        "RABBITMQ_SERVER_START_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} -rabbit quorum_tick_interval 200",
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(names),
    }
    (root / "enabled_plugins").write_text("[].\n")
    (root / "rabbitmq-env.conf").write_text("")
    door = ("-port", str(names), "-address", "127.0.0.1")
    with (root / "output").open("wb") as output:
        # Erlang would start a name server of its own, which outlives it.
        epmd = subprocess.Popen([*MORTAL, "epmd", *door], stdout=output, stderr=output)
        process = subprocess.Popen(
            [*MORTAL, SERVER], env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        _await_port(process, port, root / "output")
        url = f"amqp://guest:guest@127.0.0.1:{port}//"
        _NODES[url] = environment
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(5)
        epmd.terminate()
        epmd.wait(5)


def _await_port(process: "subprocess.Popen[bytes]", port: int, output: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as client:
                client.sendall(b"AMQP\x00\x00\x09\x01")
                if client.recv(1):
                    return
        except OSError:
            time.sleep(0.2)  # between two looks, not instead of one
    raise RuntimeError(f"RabbitMQ did not start: {output.read_text()[-2000:]}")


def unfinished(url: str) -> Counter[str]:
    """The messages that wait in a queue or are in somebody's hands unacknowledged, by queue; nothing but the mesh's."""
    found = _in_rabbitmq(_NODES[url]) if url in _NODES else _in_redis(url)
    return Counter({queue: count for queue, count in found.items() if count})


def _in_rabbitmq(environment: dict[str, str]) -> dict[str, int]:
    command = [SERVER.with_name("rabbitmqctl"), "--quiet", "--formatter=csv", "list_queues", "name", "messages"]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout
    rows = (line.replace('"', "").split(",") for line in answer.splitlines()[1:])
    return {name: int(count) for name, count in rows if name in {*Queue, DEAD_LETTERS}}


def _in_redis(url: str) -> dict[str, int]:
    """Kombu keeps a list for each queue and priority, and one hash of all that is unacknowledged."""
    with redis.Redis(unix_socket_path=unquote(urlsplit(url).path)) as client:
        lists = [key.decode() for queue in Queue for key in client.keys(f"{queue}*")]  # type: ignore[union-attr]
        found = {key: client.llen(key) for key in lists if client.type(key) == b"list"}
        return found | {"unacked": client.hlen("unacked")}  # type: ignore[return-value]
