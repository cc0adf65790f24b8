"""Payments of bookings, in every status and with any amounts."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from shared.domain.bookings import Paid
from shared.domain.payments import PaymentStatus, Provider

#: What was authorized, captured, refunded and promised of a payment of 1000 in each status.
AMOUNTS = {
    PaymentStatus.UNPAID: (0, 0, 0, 0),
    PaymentStatus.AUTHORIZED: (1000, 0, 0, 0),
    PaymentStatus.CAPTURING: (1000, 0, 0, 0),
    PaymentStatus.CAPTURED: (1000, 1000, 0, 0),
    PaymentStatus.PARTIALLY_CAPTURED: (1000, 700, 0, 0),
    PaymentStatus.PARTIALLY_REFUNDED: (1000, 1000, 300, 200),
    PaymentStatus.REFUNDED: (1000, 1000, 1000, 0),
    PaymentStatus.VOIDING: (1000, 0, 0, 0),
    PaymentStatus.VOIDED: (1000, 0, 0, 0),
}


def paid(status: PaymentStatus, **changes: Any) -> Paid:
    authorized, captured, refunded, refunding = AMOUNTS[status]
    released = authorized - captured if captured or status is PaymentStatus.VOIDED else 0
    payment = Paid("pay_1", Provider.STRIPE, "pi_1", status, authorized, captured, released, refunded, refunding)
    return replace(payment, **changes)


HELD, TAKEN, NOTHING = (paid(PaymentStatus(name)) for name in ("authorized", "captured", "unpaid"))


@st.composite
def payments(draw: st.DrawFn) -> Paid:
    status = draw(st.sampled_from(PaymentStatus))
    authorized = draw(st.integers(0, 2000))
    captured = draw(st.integers(0, authorized))
    refunded = draw(st.integers(0, captured))
    refunding = draw(st.integers(0, captured - refunded))
    released = authorized - captured if captured else 0
    return Paid("pay_1", Provider.STRIPE, "pi_1", status, authorized, captured, released, refunded, refunding)
