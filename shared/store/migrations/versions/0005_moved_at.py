"""A payment is compared with its provider for some time after its money last moved, not after its order came."""

from alembic import op

revision = "0005"
down_revision = "0004"

MOVED_AT = """
-- moved_at: when its money last moved, or was promised.
ALTER TABLE payments ADD COLUMN moved_at timestamptz NOT NULL DEFAULT now();
UPDATE payments p SET
    moved_at = moved.at,
    check_at = CASE WHEN moved.at > now() - interval '60 days' THEN coalesce(p.check_at, now()) ELSE p.check_at END
FROM (
    SELECT o.id AS order_id, greatest(o.placed_at, max(r.initiated_at), max(r.settled_at)) AS at
    FROM orders o LEFT JOIN refunds r ON r.order_id = o.id GROUP BY o.id
) moved
WHERE p.order_id = moved.order_id AND p.reference IS NOT NULL;

-- What has moved is compared again within the hour, also when it was to be left alone.  One that is due before that
-- keeps its time, so that an index is touched only when it must be.
CREATE FUNCTION note_movement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.moved_at = now();
    IF NEW.reference IS NOT NULL AND coalesce(NEW.check_at > now() + interval '1 hour', true) THEN
        NEW.check_at = now() + interval '1 hour';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER payments_moved BEFORE UPDATE OF status, authorized, captured, released, refunded, refunding ON payments
    FOR EACH ROW
    WHEN ((OLD.status, OLD.authorized, OLD.captured, OLD.released, OLD.refunded, OLD.refunding)
          IS DISTINCT FROM (NEW.status, NEW.authorized, NEW.captured, NEW.released, NEW.refunded, NEW.refunding))
    EXECUTE FUNCTION note_movement();
"""


def upgrade() -> None:
    """Note when money moves."""
    op.execute(MOVED_AT)
