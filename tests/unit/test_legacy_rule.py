"""What a former system's metadata says of an order's money, and when that and the provider make one story."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.domain import totals
from shared.domain.legacy import CLAIMS, STANDS, Found, Legacy, Reason, Record, Undecided, amount, decide, examine
from shared.domain.legacy import payment_status as status_of
from shared.domain.orders import OrderStatus
from shared.domain.payments import PaymentStatus

NOW = datetime(2026, 11, 1, tzinfo=UTC)

ORDER = Legacy(
    id="ord_1",
    status=OrderStatus.PENDING,
    currency="USD",
    total=3800,
    items_total=3800,
    grace_until=NOW + timedelta(minutes=10),
    readable=True,
    record=Record(None, "authorized", "pi_1"),
    shares_payment=False,
)

HELD = Found(PaymentStatus.AUTHORIZED, "USD", authorized=3800, captured=0, released=0, refunded=0)
CAPTURED = replace(HELD, status=PaymentStatus.CAPTURED, captured=3800)
RELEASED = replace(HELD, status=PaymentStatus.VOIDED, released=3800)


def known(order: Legacy, **members: str | None) -> Legacy:
    """The order with other metadata."""
    return replace(order, record=replace(order.record, **members))


class TestTheAmount:
    def test_is_what_the_collection_says(self):
        assert amount(1200, Record("2150"), 3800) == 1200

    def test_of_a_collection_may_be_nothing(self):
        assert amount(0, Record("2150"), 3800) == 0

    def test_is_else_what_the_metadata_says(self):
        assert amount(None, Record("2150"), 3800) == 2150

    def test_is_else_what_the_order_cost_when_it_was_placed(self):
        assert amount(None, Record(), 3800) == 3800

    @pytest.mark.parametrize(
        "said",
        [
            *("", " 2150", "2150 ", "2150\n", "21.50", "2150.0", "-5", "+5", "1_000", "1e3", "0x10", "٢١٥٠"),
            *("true", "null", "NaN", "[2150]", '{"amount": 2150}', str(totals.LIMIT + 1), "9" * 5000),
        ],
    )
    def test_that_the_metadata_says_in_no_plain_number_is_passed_over(self, said):
        assert amount(None, Record(said), 3800) == 3800

    @pytest.mark.parametrize(("said", "meant"), [("0", 0), ("007", 7), (str(totals.LIMIT), totals.LIMIT)])
    def test_that_the_metadata_says_in_digits_is_taken(self, said, meant):
        assert amount(None, Record(said), 3800) == meant

    @given(said=st.text() | st.integers().map(str) | st.floats().map(str) | st.from_regex(r"\A\d+\s?\Z"))
    @example(said="1" * 100_000)
    def test_is_never_broken_by_metadata(self, said):
        found = amount(None, Record(said), 3800)
        assert 0 <= found <= totals.LIMIT
        assert found == 3800 or int(said) == found


class TestThePaymentStatus:
    def test_is_what_the_payment_says(self):
        assert status_of("captured", Record(payment_status="authorized")) == "captured"

    @pytest.mark.parametrize("said", CLAIMS)
    def test_is_else_what_the_metadata_says(self, said):
        assert status_of(None, Record(payment_status=said)) == said

    @given(said=st.none() | st.text().filter(lambda text: text not in CLAIMS))
    @example(said="true")
    def test_is_else_unknown(self, said):
        assert status_of(None, Record(payment_status=said)) == "unknown"


class TestAnOrderIsExamined:
    def test_and_its_payment_asked_about(self):
        assert examine(ORDER, NOW) == "pi_1"

    @pytest.mark.parametrize(
        ("order", "reason"),
        [
            (replace(ORDER, readable=False), Reason.METADATA_UNREADABLE),
            (known(ORDER, updated_total="many"), Reason.METADATA_UNREADABLE),
            (known(ORDER, payment_status="whatever"), Reason.PAYMENT_STATUS_UNKNOWN),
            (known(ORDER, payment_intent_id=None), Reason.NO_PAYMENT_INTENT_ID),
            (known(ORDER, payment_intent_id="pi_1/../../v1/refunds"), Reason.NO_PAYMENT_INTENT_ID),
            (known(ORDER, payment_intent_id="true"), Reason.NO_PAYMENT_INTENT_ID),
            (known(ORDER, payment_intent_id="pi_" + "p" * 126), Reason.NO_PAYMENT_INTENT_ID),
            (replace(ORDER, shares_payment=True), Reason.PAYMENT_OF_ANOTHER_ORDER),
            (replace(ORDER, items_total=3700), Reason.ITEMS_DIFFER),
            (known(ORDER, updated_total="2150"), Reason.ITEMS_DIFFER),
        ],
    )
    def test_and_left_to_a_person(self, order, reason):
        with pytest.raises(Undecided) as refused:
            examine(order, NOW)
        assert refused.value.reason is reason

    @pytest.mark.parametrize(
        "order",
        [replace(ORDER, grace_until=NOW), replace(ORDER, status=OrderStatus.CAPTURED)],
        ids=["its hour is over", "it is paid"],
    )
    def test_without_its_items_when_it_cannot_be_edited_any_more(self, order):
        assert examine(replace(order, items_total=1), NOW) == "pi_1"

    @given(total=st.text(), status=st.text(), reference=st.text())
    def test_whatever_its_metadata_says(self, total, status, reference):
        with suppress(Undecided):
            assert examine(replace(ORDER, record=Record(total, status, reference)), NOW) == reference


class TestAnOrderIsDecided:
    def test_with_its_money_held(self):
        decision = decide(ORDER, HELD, schedule_captures=True)
        assert (decision.amount, decision.order_status, decision.payment_status, decision.is_to_be_captured) == (
            3800,
            OrderStatus.PENDING,
            PaymentStatus.AUTHORIZED,
            True,
        )

    def test_with_less_to_be_taken_than_is_held(self):
        assert decide(known(ORDER, updated_total="2150"), HELD, schedule_captures=True).amount == 2150

    def test_and_is_captured_when_its_money_was_taken(self):
        decision = decide(known(ORDER, payment_status="succeeded"), CAPTURED, schedule_captures=False)
        assert (decision.order_status, decision.is_to_be_captured) == (OrderStatus.CAPTURED, False)

    def test_with_a_part_taken_and_the_rest_released(self):
        order = known(ORDER, payment_status="captured", updated_total="2150")
        found = replace(CAPTURED, captured=2150, released=1650)
        assert decide(order, found, schedule_captures=False).amount == 2150

    def test_and_stays_canceled_when_all_of_its_money_is_back(self):
        order = known(replace(ORDER, status=OrderStatus.CANCELED), payment_status="refunded")
        decision = decide(order, replace(CAPTURED, refunded=3800), schedule_captures=False)
        assert decision.order_status is OrderStatus.CANCELED

    @pytest.mark.parametrize("said", [None, "canceled", "cancelled", "expired"])
    def test_with_its_money_released(self, said):
        decision = decide(known(ORDER, payment_status=said), RELEASED, schedule_captures=True)
        assert (decision.payment_status, decision.is_to_be_captured) == (PaymentStatus.VOIDED, False)

    @pytest.mark.parametrize(
        ("order", "found", "reason"),
        [
            (ORDER, replace(HELD, status=None), Reason.NOT_AUTHORIZED),
            (known(ORDER, payment_status="captured"), HELD, Reason.PAYMENT_STATUS_DIFFERS),
            (known(ORDER, payment_status="not_paid"), HELD, Reason.PAYMENT_STATUS_DIFFERS),
            (ORDER, CAPTURED, Reason.PAYMENT_STATUS_DIFFERS),
            (ORDER, RELEASED, Reason.PAYMENT_STATUS_DIFFERS),
            (ORDER, replace(HELD, currency="EUR"), Reason.CURRENCY_DIFFERS),
            (known(ORDER, updated_total="3801"), HELD, Reason.ABOVE_AUTHORIZATION),
            (known(ORDER, updated_total="0"), HELD, Reason.NOTHING_TO_CAPTURE),
            (
                known(ORDER, payment_status="captured", updated_total="3801"),
                CAPTURED,
                Reason.CAPTURED_AMOUNT_DIFFERS,
            ),
            (
                known(ORDER, payment_status="captured", updated_total="2150"),
                replace(CAPTURED, captured=2150),
                Reason.CAPTURED_AMOUNT_DIFFERS,
            ),
            (replace(ORDER, status=OrderStatus.CANCELED), HELD, Reason.ORDER_STATUS_DIFFERS),
            (
                known(replace(ORDER, status=OrderStatus.CANCELED), payment_status="captured"),
                replace(CAPTURED, refunded=3799),
                Reason.ORDER_STATUS_DIFFERS,
            ),
        ],
    )
    def test_or_left_to_a_person(self, order, found, reason):
        with pytest.raises(Undecided) as refused:
            decide(order, found, schedule_captures=True)
        assert refused.value.reason is reason

    def test_or_left_until_somebody_says_that_its_money_may_be_taken(self):
        with pytest.raises(Undecided) as refused:
            decide(ORDER, HELD, schedule_captures=False)
        assert refused.value.reason is Reason.CAPTURE_NOT_SCHEDULED

    @pytest.mark.parametrize("status", OrderStatus)
    @pytest.mark.parametrize("found", [HELD, CAPTURED, RELEASED], ids=["held", "captured", "released"])
    def test_only_where_the_two_may_stand_together(self, status, found):
        order = replace(ORDER, status=status, record=Record(payment_intent_id="pi_1"))
        found = replace(found, refunded=found.captured)
        if (status, found.status) in STANDS:
            decision = decide(order, found, schedule_captures=True)
            assert decision.order_status is STANDS[status, found.status]
        else:
            with pytest.raises(Undecided, match=Reason.ORDER_STATUS_DIFFERS):
                decide(order, found, schedule_captures=True)
