"""Alembic's entry: run the migrations on one connection, under one lock."""

from alembic import context
from sqlalchemy import create_engine, text

#: Any constant: two deployments that migrate at once take turns.
MIGRATION_LOCK = 0x_C0_47_E2_4A

engine = create_engine(context.config.attributes["database_url"].replace("postgresql://", "postgresql+psycopg://", 1))
with engine.begin() as connection:
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
    context.configure(connection=connection)
    context.run_migrations()
engine.dispose()
