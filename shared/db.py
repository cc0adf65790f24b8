"""The database: one engine a process, and the one `transaction()` helper."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from shared.batch import Answer, Batch, Item
from shared.errors import Unavailable

#: Of every connection: no statement waits for a lock or runs for longer than a caller would wait; and since every
#: statement looks rows up by a key, one plan serves all its parameters.
OPTIONS = (
    "-c lock_timeout=2s -c statement_timeout=5s -c idle_in_transaction_session_timeout=10s -c timezone=UTC"
    " -c plan_cache_mode=force_generic_plan"
)


#: How many callers one statement serves: the bodies of so many requests still make a small message.
TOGETHER = 64

#: Seconds without use after which a connection is asked whether it lives.
IDLE = 10.0


class Locked(Exception):
    """A row stayed locked by somebody else for longer than `lock_timeout`, or two waited for each other."""


class Database:
    """A pool of connections to one Postgres; the pool opens connections when they are first used."""

    def __init__(self, url: str, pool_size: int) -> None:
        self.engine: Engine = create_engine(
            url.replace("postgresql://", "postgresql+psycopg://", 1),
            isolation_level="AUTOCOMMIT",  # of a bare statement; `transaction()` begins its own
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=5,  # as long as a statement may take
            pool_use_lifo=True,  # few warm connections, with their statements prepared, rather than many cold ones
            hide_parameters=True,  # they name people
            connect_args={
                "options": OPTIONS,
                "connect_timeout": 3,
                "tcp_user_timeout": 10_000,  # milliseconds until a peer that fell silent counts as gone
                "application_name": "countermand",
                "prepare_threshold": 1,  # our statements come again
            },
        )
        self._batches: dict[Any, Batch[Any, Any]] = {}
        event.listen(self.engine, "checkin", _note_return)
        event.listen(self.engine, "checkout", _ask_if_alive)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Commit when the block ends, roll back when it raises.  Raises `Unavailable` or `Locked`."""
        with self._translated(), self.engine.connect() as connection, _driver(connection).transaction():
            yield connection

    @contextmanager
    def statement(self) -> Iterator[Connection]:
        """A connection on which each statement is its own transaction.  Raises `Unavailable` or `Locked`."""
        with self._translated(), self.engine.connect() as connection:
            yield connection

    def together(
        self, carry_out: Callable[[Connection, Sequence[Item]], Mapping[Item, Answer]], item: Item
    ) -> Answer | None:
        """Carry out one statement for all who ask for it at this moment, and return this item's answer.

        `carry_out` is a function of the store: one statement for many different items, that answers by item.  Raises
        `Unavailable` or `Locked`.
        """
        batch = self._batches.get(carry_out)
        if batch is None:

            def on_one_connection(items: Sequence[Item]) -> Mapping[Item, Answer]:
                with self.statement() as connection:
                    return carry_out(connection, items)

            batch = self._batches.setdefault(carry_out, Batch(on_one_connection, TOGETHER, (Unavailable, Locked)))
        answer: Answer | None = batch(item)
        return answer

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except PoolTimeout as error:
            raise Unavailable from error
        except psycopg.OperationalError as error:  # from BEGIN or COMMIT, which SQLAlchemy does not see
            self.engine.dispose()  # the other idle connections are as dead as this one
            raise Unavailable from error
        except DBAPIError as error:
            if _sqlstate(error) in ("55P03", "40P01"):  # lock_not_available, deadlock_detected
                raise Locked from error
            if error.connection_invalidated or _is_outage(error):
                raise Unavailable from error
            raise


def _note_return(_: Any, record: ConnectionPoolEntry) -> None:
    record.info["returned"] = time.monotonic()


def _ask_if_alive(driver: Any, record: ConnectionPoolEntry, _: Any) -> None:
    """Ask a connection that was idle for a while: Postgres may have been restarted, and nobody needs to hear of it."""
    if time.monotonic() - record.info.get("returned", math.inf) > IDLE:
        try:
            driver.execute("")
        except psycopg.OperationalError as error:
            raise DisconnectionError from error  # the pool opens another one


def _driver(connection: Connection) -> psycopg.Connection[Any]:
    return cast("psycopg.Connection[Any]", connection.connection.driver_connection)


def _sqlstate(error: DBAPIError) -> str | None:
    origin: Any = error.orig
    return getattr(origin, "sqlstate", None)


def _is_outage(error: DBAPIError) -> bool:
    """No SQLSTATE: the connection failed.  Class 57P: the server is shutting down or starting up."""
    state = _sqlstate(error)
    return isinstance(error, OperationalError | InterfaceError) and (state is None or state.startswith("57P"))
