"""The guard of a state: Postgres allows the changes of state that the rules allow, and no others."""


def guard(table: str, column: str, *moves: str) -> str:
    """Return the SQL that allows only these changes of a state column, each 'from>to'; a former guard gives way.

    Migrations are never rewritten: what this returns is what databases were already made with.
    """
    allowed = ", ".join(f"'{move}'" for move in moves)
    return f"""
        DROP TRIGGER IF EXISTS {table}_transition ON {table};
        CREATE TRIGGER {table}_transition BEFORE UPDATE OF {column} ON {table} FOR EACH ROW
        WHEN (OLD.{column} <> NEW.{column} AND OLD.{column} || '>' || NEW.{column} NOT IN ({allowed}))
        EXECUTE FUNCTION refuse_transition();
    """
