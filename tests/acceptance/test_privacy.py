"""Personal data and secrets stay in the rows that need them: in no log, no message, no timeline and no alert."""

import uuid
from collections.abc import Iterator

import pytest

from tests.shop import Shop, eventually

ADDRESS = {
    "name": "Annabel Vandersloot",
    "line1": "1 Main Street",
    "city": "Springfield",
    "postal_code": "12345",
    "country": "US",
}


def assert_in_no_log(shop: Shop, *secrets: str) -> None:
    for log in (shop.stack.root / "log").glob("*.log"):
        written = log.read_text(errors="replace")
        for secret in secrets:
            assert secret not in written, log.name


def test_a_cancel_leaves_no_personal_data_and_no_secret_in_any_log(shop):
    address = f"{uuid.uuid4().hex}@example.com"
    purchase = shop.buy(email=address, address=ADDRESS)
    shop.cancel(purchase)
    eventually(lambda: shop.mails_to(address))
    keys = shop.settings.jwt_keys.values()
    assert_in_no_log(shop, address, ADDRESS["name"], purchase.token, shop.settings.stripe_api_key, *keys)


@pytest.fixture
def poison(shop: Shop) -> Iterator[str]:
    """The id of an order that the database refuses to write, for a reason that no worker foresees."""
    order_id = f"ord_{uuid.uuid4().hex}"
    shop.sql(
        "DO $$ BEGIN CREATE FUNCTION choke() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN RAISE EXCEPTION ''choked''; END'; END $$"
    )
    shop.sql(
        f"CREATE TRIGGER choke BEFORE INSERT ON orders FOR EACH ROW WHEN (NEW.id = '{order_id}')"
        " EXECUTE FUNCTION choke()"
    )
    yield order_id
    shop.sql("DROP FUNCTION IF EXISTS choke CASCADE")


@pytest.mark.usefixtures("breaks_on_purpose")
def test_a_task_that_breaks_leaves_no_personal_data_in_any_log_and_goes_on_when_its_cause_is_gone(shop, poison):
    address = f"{uuid.uuid4().hex}@example.com"
    body = shop.order(shop.authorize(), order_id=poison, email=address, address=ADDRESS)
    accepted = shop.register(body, Prefer="respond-async")
    intent_id = accepted.json()["intent"]
    eventually(lambda: len(shop.logged("worker", event="task_broke", subject=intent_id)) > 1)
    assert_in_no_log(shop, address, ADDRESS["name"])
    shop.sql("DROP FUNCTION choke CASCADE")
    ended = eventually(lambda: shop.intent(accepted.headers["location"], shop.bearer("service"))["answer"])
    assert ended["status"] == 201
    assert shop.view(poison)["status"] == "pending"


def test_the_timeline_and_the_alerts_name_no_person(shop):
    address = f"{uuid.uuid4().hex}@example.com"
    purchase = shop.buy(email=address, address=ADDRESS)
    shop.fault("cancel", "decline", reference=purchase.reference)
    shop.cancel(purchase)
    written = shop.sql("SELECT t::text FROM timeline t WHERE order_id = %s", purchase.order_id)
    written += shop.sql("SELECT a::text FROM alerts a WHERE order_id = %s", purchase.order_id)
    assert len(written) == 5
    for secret in (address, ADDRESS["name"], ADDRESS["line1"]):
        assert secret not in str(written)
