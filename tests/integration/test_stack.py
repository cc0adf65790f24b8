"""The embedded stack: it starts, survives, and leaves nothing behind."""

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
import requests

from sandbox.stack import AlreadyRunning, Stack, StackError, StackOptions
from sandbox.stack.leftovers import MARK, processes
from sandbox.stack.ports import LOOPBACK, reserved
from sandbox.stack.postgres import NEVER_A_PID
from tests.shop import eventually

PROJECT = Path(__file__).parents[2]

#: Starts in about a second.
STORES = StackOptions(only={"stores"}, migrate=False)

#: Starts a stack of stores in the directory it is given, says so, and waits to be killed.
STARTER = """
import sys, time, pathlib
from sandbox.stack import Stack, StackOptions
Stack(pathlib.Path(sys.argv[1]), StackOptions(only={"stores"}, migrate=False)).start()
print("started", flush=True)
time.sleep(600)
"""


def ask(stack: Stack, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(stack.describe()["postgres"]) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def answers(stack: Stack) -> bool:
    try:
        return bool(ask(stack, "SELECT 1"))
    except psycopg.OperationalError:
        return False


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has reaped yet does not."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """A stack that its tests leave as it was."""
    with Stack(tmp_path_factory.mktemp("stores"), STORES) as stack:
        yield stack


def test_the_stores_start_and_stack_json_says_where_they_are(stores):
    described = json.loads((stores.root / "stack.json").read_text())
    assert described == stores.describe()
    assert set(described) == {"postgres", "broker", "pids"}
    assert set(described["pids"]) == {"postgres", "redis"}
    assert ask(stores, "SHOW fsync") == [("on",)]


def test_nothing_stays_behind_when_a_stack_stops(tmp_path):
    with Stack(tmp_path, STORES) as stack:
        run = (tmp_path / "run").readlink()
        pids = list(processes(tmp_path))
        assert set(stack.pids().values()) < set(pids)
    assert not [pid for pid in pids if is_alive(pid)]
    assert not run.exists()
    assert not (tmp_path / "stack.json").exists()
    assert not stack.is_running()


def test_what_was_written_is_there_after_a_stop_and_a_start(tmp_path):
    with Stack(tmp_path, STORES) as stack:
        ask(stack, "CREATE TABLE kept AS SELECT 1 AS one")
    with Stack(tmp_path, STORES) as stack:
        assert ask(stack, "SELECT one FROM kept") == [(1,)]


def test_two_stacks_run_side_by_side(stores, tmp_path):
    with Stack(tmp_path, STORES) as other:
        ask(stores, "CREATE TABLE only_here ()")
        assert other.describe()["broker"] != stores.describe()["broker"]
        assert ask(other, "SELECT to_regclass('only_here')") == [(None,)]


def test_a_second_start_says_that_the_stack_is_running(stores):
    with pytest.raises(AlreadyRunning):
        Stack(stores.root, STORES).start()
    assert ask(stores, "SELECT 1") == [(1,)]


@pytest.mark.parametrize("program", ["postgres", "redis"])
def test_a_killed_program_is_started_again_and_stack_json_follows(stores, program):
    ask(stores, "CREATE TABLE IF NOT EXISTS kept AS SELECT 1 AS one")
    killed = stores.pids()[program]
    os.kill(killed, signal.SIGKILL)
    anew = eventually(lambda: stores.pids().get(program, killed) != killed and stores.pids()[program])
    eventually(lambda: json.loads((stores.root / "stack.json").read_text())["pids"].get(program) == anew)
    eventually(lambda: answers(stores))
    assert ask(stores, "SELECT one FROM kept") == [(1,)]


def test_a_restarted_program_is_ready_when_restart_returns(stores):
    before = stores.pids()
    stores.restart("postgres")
    assert ask(stores, "SELECT 1") == [(1,)]
    assert stores.pids()["postgres"] != before["postgres"]
    assert stores.pids()["redis"] == before["redis"]


def test_a_stack_whose_supervisor_was_killed_starts_again_without_its_orphans(tmp_path):
    with Stack(tmp_path, STORES) as stack:
        ask(stack, "CREATE TABLE kept AS SELECT 1 AS one")
        orphans = stack.pids()
        os.kill(int((tmp_path / "supervisord.pid").read_text()), signal.SIGKILL)
        eventually(lambda: not stack.is_running())
        assert all(is_alive(pid) for pid in orphans.values())
        stack.start()
        assert not [name for name, pid in orphans.items() if is_alive(pid)]
        assert ask(stack, "SELECT one FROM kept") == [(1,)]


def test_a_process_id_that_was_given_to_another_process_does_not_keep_postgres_from_starting(tmp_path):
    with Stack(tmp_path, STORES) as stack:
        crashed = (tmp_path / "pg" / "postmaster.pid").read_text().splitlines()
    crashed[0] = str(os.getpid())
    (tmp_path / "pg" / "postmaster.pid").write_text("\n".join(crashed) + "\n")
    with Stack(tmp_path, STORES) as stack:
        assert ask(stack, "SELECT 1") == [(1,)]
    assert int(crashed[0]) < NEVER_A_PID


def test_a_stack_ends_with_the_process_that_started_it(tmp_path):
    command = [sys.executable, "-c", STARTER, str(tmp_path)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "started\n"
        assert any(processes(tmp_path))
        starter.kill()
    eventually(lambda: not any(processes(tmp_path)))
    Stack(tmp_path).stop()  # removes the sockets
    assert not (tmp_path / "run").is_symlink()


def test_an_interrupted_initialisation_is_done_again(tmp_path):
    (tmp_path / "pg.new").mkdir(parents=True)
    (tmp_path / "pg.new" / "PG_VERSION").write_text("18\n")
    with Stack(tmp_path, STORES) as stack:
        assert ask(stack, "SELECT 1") == [(1,)]


def test_a_start_that_fails_shows_the_log_and_leaves_nothing_running(tmp_path):
    options = StackOptions(only={"stores"}, environment={"COUNTERMAND_JWT_KEYS": "nonsense"})
    with pytest.raises(StackError, match=r"the migration failed.*\n.*COUNTERMAND_JWT_KEYS must be a JSON object"):
        Stack(tmp_path, options).start()
    assert not any(processes(tmp_path))
    assert not (tmp_path / "run").is_symlink()


def test_a_port_that_is_taken_is_named(tmp_path):
    with closing(socket.create_server((LOOPBACK, 0))) as other:
        port = other.getsockname()[1]
        with pytest.raises(StackError, match=f"port {port} for gateway"):
            Stack(tmp_path, StackOptions(only={"stores"}, migrate=False, ports={"gateway": port})).start()


def test_a_reserved_port_is_kept_from_others_but_not_from_its_server():
    with reserved(["gateway"], {}) as ports, socket.socket() as other:
        with pytest.raises(OSError, match="in use"):
            other.bind((LOOPBACK, ports["gateway"]))
        with closing(socket.create_server((LOOPBACK, ports["gateway"]))) as server:
            assert server.getsockname()[1] == ports["gateway"]


def test_secrets_are_readable_by_their_owner_only(stores):
    for name in ("secrets.json", "environment.json", "stack.json", "supervisord.conf"):
        assert (stores.root / name).stat().st_mode & 0o077 == 0, name


def test_a_path_that_is_too_long_for_a_socket_is_no_obstacle(tmp_path, monkeypatch):
    long = tmp_path / ("a" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with Stack(long / "stack", STORES) as stack:
        assert ask(stack, "SELECT 1") == [(1,)]


def test_the_mark_of_a_stack_is_not_passed_on_by_its_environment(stores):
    assert MARK not in stores.environment()


def test_up_prints_a_curl_line_that_cancels_an_order_and_ctrl_c_stops_everything(tmp_path):
    command = [sys.executable, "-m", "sandbox.cli", "--root", str(tmp_path), "up"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        printed = "".join(itertools.takewhile(lambda line: line != "Ctrl-C stops it.\n", up.stdout))
        found = re.search(r"curl -X POST (\S+) -H 'x-modification-token: (\S+)'", printed)
        assert found, printed
        answer = requests.post(found[1], headers={"x-modification-token": found[2]}, timeout=30)
        assert answer.json()["status"] == "canceled"
        up.send_signal(signal.SIGINT)
        assert up.wait(60) == 0
        assert up.stdout.read() == "Stopping Countermand\nCountermand has stopped.\n"
    assert not any(processes(tmp_path))
    assert not (tmp_path / "run").is_symlink()


def test_development_tokens_are_not_made_in_the_production_profile():
    environment = {
        "COUNTERMAND_PROFILE": "production",
        "COUNTERMAND_DATABASE_URL": "postgresql:///",
        "COUNTERMAND_BROKER_URL": "amqp://",
        "COUNTERMAND_JWT_KEYS": '{"now": "a key that is long enough for HS256"}',
    }
    command = [sys.executable, "-m", "sandbox.cli", "token", "service"]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "not made in the production profile" in done.stderr
