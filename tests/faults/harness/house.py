"""What is started once for all scenarios: Postgres with our schema, the stand-ins, and the workers' application."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
import pytest
from celery import Celery
from psycopg import sql

from sandbox.stack import Stack, StackOptions
from shared import settings
from shared.settings import Settings
from tests.faults.harness.rig import Rig
from tests.faults.harness.standins import StandIns

#: What would come again and again: a sync for as long as a parcel is under way, a look at a hold until it has lapsed.
SELDOM = {"COUNTERMAND_DELHIVERY_AUTO_SYNC_ENABLED": "false", "COUNTERMAND_LAPSE_WATCH": "345600"}


class House:
    """A Postgres, the providers, a courier and a mail server for any number of rigs, one after the other."""

    def __init__(self, root: Path) -> None:
        self._stack = Stack(root / "stack", StackOptions(only=("postgres",)))
        self._stand_ins = StandIns(root)

    def __enter__(self) -> Self:
        self._stack.start()
        self._stand_ins.start()
        self._environment = self._stack.environment() | {
            **{f"COUNTERMAND_{name.upper()}_API_BASE": url for name, url in self._stand_ins.urls.items()},
            "COUNTERMAND_SMTP_PORT": str(self._stand_ins.smtp_port),
            **SELDOM,
        }
        self._celery = self._import_workers()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stand_ins.stop()
        self._stack.stop()

    @contextmanager
    def rig(self, name: str) -> Iterator[Rig]:
        """A rig on a database of its own, a copy of the migrated one that is gone afterwards."""
        pristine = settings.load(self._environment).database_url
        database = sql.Identifier(name)
        with psycopg.connect(pristine, dbname="postgres", autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE countermand").format(database))
            try:
                with Rig(
                    self._settings(pristine.replace("@/countermand?", f"@/{name}?")), self._stand_ins, self._celery
                ) as rig:
                    yield rig
            finally:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))

    def _settings(self, database_url: str) -> Settings:
        return settings.load(self._environment | {"COUNTERMAND_DATABASE_URL": database_url})

    def _import_workers(self) -> Celery:
        """Import the workers as a worker does: their application reads the environment when it is imported."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self._environment.items():
                patch.setenv(name, value)
            from workers.app import app

            app.loader.import_default_modules()
            app.finalize()
        found: Any = app
        return found
