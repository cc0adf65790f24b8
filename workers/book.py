"""Book: a hotel tells us of its policies, of what was booked under them, and whom the links are for.

A booking is registered as an order is (workers/register.py), with its terms beside it.  It may be registered before it
is paid; and its money is captured when the hotel approves it, not when an hour is over.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec

from shared.booking_requests import BookingRegistration, CancellationPolicy, GuestLink, GuestToken, Issued
from shared.domain import totals
from shared.domain.bookings import BookingEvent
from shared.domain.intents import IntentState
from shared.domain.orders import OrderEvent, OrderKind, OrderStatus
from shared.domain.payments import Provider
from shared.domain.policies import Terms
from shared.errors import Invalid, NotFound, OrderConflict, PolicyUnknown, Problem, Unavailable
from shared.providers.ports import Authorization, HoldStatus
from shared.queues import Queue, Task
from shared.store import bookings, guest_tokens, intents, orders, policies, stock
from shared.store.bookings import NewBooking
from shared.store.guest_tokens import NewToken
from shared.store.intents import Intent
from shared.store.orders import NewOrder
from shared.store.policies import Version
from shared.store.timeline import Entry
from workers import registering
from workers.app import app
from workers.base import Work, Worker

#: Why a hold cannot carry a booking; one that is still to be confirmed can.
UNUSABLE = {HoldStatus.RELEASED: registering.UNUSABLE[HoldStatus.RELEASED]}


Shape = TypeVar("Shape", GuestLink, BookingRegistration)


@dataclass(frozen=True, slots=True)
class Reservation:
    """A booking to register: what is asked for, its first link, its terms, and the policy that it is made under."""

    intent: Intent
    request: BookingRegistration
    token: GuestToken
    terms: Terms
    policy: Version

    @property
    def paid_by(self) -> tuple[Provider, str | None]:
        """Who holds the money, and under which name; a payment that has none yet is nobody's."""
        payment = self.request.payment
        return (payment.provider, payment.reference) if payment.reference else (Provider.NONE, None)


@app.task(base=Worker, bind=True, name=Task.SET_POLICY)
def set_policy(task: Worker, intent_id: str) -> None:
    """Write down a policy, as a version of its own when it is another one than before."""
    with task.work() as work:
        policies.lock_for_intent(work.connection, intent_id)
        intent = intents.read(work.connection, intent_id)
        work.strike(Task.SET_POLICY, intent_id)
        if intent is None or not intent.running:
            return
        body = msgspec.json.encode(msgspec.convert(intent.payload, CancellationPolicy)).decode()
        version, policy = policies.put_locked(work.connection, intent.subject, body, intent.accepted_at)
        answer = {"policy_id": intent.subject, "version": version, "policy": policy}
        work.finish(intent_id, msgspec.json.encode(answer).decode())


@app.task(base=Worker, bind=True, name=Task.REGISTER_BOOKING)
def register_booking(task: Worker, intent_id: str) -> None:
    """Carry out one registration; safe to run any number of times."""
    try:
        intent = claim(task, intent_id)
        if intent is None:  # answered by a twin, or registered before
            return
        reservation = check(task, intent)
        held = call(task, reservation)
        with task.work() as work:
            settle(task, work, reservation, held)
    except Unavailable:  # Postgres went away: nothing is decided, and the message comes again
        raise
    except Problem as refusal:
        with task.work() as work:
            work.strike(Task.REGISTER_BOOKING, intent_id)
            work.refuse(intent_id, refusal)


@app.task(base=Worker, bind=True, name=Task.INVITE_GUEST)
def invite_guest(task: Worker, intent_id: str) -> None:
    """Write down one more link to a booking."""
    with task.work() as work:
        booking = bookings.lock_for_intent(work.connection, intent_id)
        intent = intents.read(work.connection, intent_id)
        work.strike(Task.INVITE_GUEST, intent_id)
        if intent is None or not intent.running:
            return
        if booking is None:
            work.refuse(intent_id, NotFound("There is no such booking"))
            return
        link, token = asked(intent, GuestLink)
        expires_at = issue(task, work, booking.id, token, link, booking.ends_at)
        data = {"token_id": token.id, "actions": link.actions}
        work.record(Entry(booking.id, BookingEvent.GUEST_INVITED, Queue.REGISTER, intent.actor, data))
        body = {"booking_id": booking.id, "actions": link.actions, "expires_at": expires_at}
        work.finish(intent_id, msgspec.json.encode(body | {"guest_token": named(token.id, token.kid)}).decode())


def claim(task: Worker, intent_id: str) -> Intent | None:
    """Read what is to be registered; what is registered already is answered again.  Raises `OrderConflict`."""
    with task.work() as work:
        intent = intents.read(work.connection, intent_id)
        if intent and intent.running and not answer_again(work, intent):
            return intent
        work.strike(Task.REGISTER_BOOKING, intent_id)
        return None


def asked(intent: Intent, shape: type[Shape]) -> tuple[Shape, GuestToken]:
    """Return what is asked for, and the token that the gateway has issued with it."""
    body = {name: value for name, value in intent.payload.items() if name != "guest_token"}
    return msgspec.convert(body, shape), msgspec.convert(intent.payload, Issued).guest_token


def check(task: Worker, intent: Intent) -> Reservation:
    """Put together what is booked, or refuse what no booking can be.  Raises `PolicyUnknown` or `Invalid`."""
    request, token = asked(intent, BookingRegistration)
    with task.mesh.database.statement() as connection:
        policy = policies.latest(connection, request.policy_id)
    if policy is None:
        raise PolicyUnknown
    total = totals.total(registering.lines(request.lines), 0)
    registering.check(request.placed_at, intent.accepted_at, total)
    try:
        terms = Terms(
            policy=policy.policy,
            currency=request.currency,
            total=total,
            placed_at=request.placed_at or intent.accepted_at,
            check_in=datetime.fromisoformat(request.check_in),
            check_out=datetime.fromisoformat(request.check_out),
            time_zone=request.hotel.time_zone,
        )
    except ValueError as error:
        raise Invalid(str(error)) from error
    return Reservation(intent, request, token, terms, policy)


def call(task: Worker, reservation: Reservation) -> Authorization | None:
    """Read the authorization from its provider; None when nobody knows of a payment.  Raises `PaymentUnusable`."""
    terms = reservation.terms
    return registering.hold(task, *reservation.paid_by, terms.currency, terms.total, UNUSABLE)


def settle(task: Worker, work: Work, reservation: Reservation, held: Authorization | None) -> None:
    """Write everything down in one commit.  Raises `OrderConflict` or `PaymentConflict`."""
    intent, order = reservation.intent, _order(reservation, held)
    work.strike(Task.REGISTER_BOOKING, intent.id)
    if not orders.insert(work.connection, order, registering.lines(reservation.request.lines)):
        answer_again(work, intent)  # a twin was faster
        return
    bookings.insert(work.connection, _booking(reservation))
    payment = registering.write_payment(task, work, order, *reservation.paid_by, held)
    issue(task, work, order.id, reservation.token, reservation.request.guest_link, reservation.terms.ends_at)
    data = {"total": order.total, "currency": order.currency, "payment": payment.status}
    data |= {"policy": reservation.policy.id, "policy_version": reservation.policy.version}
    work.record(Entry(order.id, OrderEvent.REGISTERED, Queue.REGISTER, intent.actor, data))
    answer(work, intent, 201)
    stock.reserve_locked(work.connection, order.id)


def answer_again(work: Work, intent: Intent) -> bool:
    """Answer when the id is taken by this very registration; False when it is free.  Raises `OrderConflict`."""
    known = orders.registered(work.connection, intent.subject)
    if known is None:
        return False
    if bytes(known.fingerprint) != intent.fingerprint:
        raise OrderConflict
    answer(work, intent, 200)
    return True


def answer(work: Work, intent: Intent, status: int) -> None:
    """Store the answer; the gateway puts the guest's token where it is named, since it stands in no row."""
    booking = bookings.read(work.connection, intent.subject)
    if booking is None:
        raise LookupError(intent.subject)
    body = {
        "booking_id": booking.id,
        "status": booking.status(intent.accepted_at),
        "total": booking.total,
        "currency": booking.currency,
        "nights": booking.terms.nights,
        "policy_id": booking.policy_id,
        "policy_version": booking.policy_version,
        "guest_token": named(*guest_tokens.first(work.connection, booking.id)),
    }
    text = msgspec.json.encode(body).decode()
    work.ring(intents.end(work.connection, intent.id, IntentState.DONE, status, text))


def issue(task: Worker, work: Work, order_id: str, token: GuestToken, link: GuestLink, ends_at: datetime) -> datetime:
    """Write a link down; returns when it expires."""
    expires_at = link.expires_at or ends_at + timedelta(seconds=task.mesh.settings.guest_token_leeway)
    new = NewToken(token.id, bytes.fromhex(token.hash), token.kid, order_id, link.actions, expires_at)
    guest_tokens.insert(work.connection, new)
    return expires_at


def named(token_id: str, kid: str) -> dict[str, Any]:
    """How an answer names a token."""
    return {"id": token_id, "kid": kid}


def _order(reservation: Reservation, held: Authorization | None) -> NewOrder:
    captured = held is not None and held.status is HoldStatus.CAPTURED
    terms = reservation.terms
    return NewOrder(
        id=reservation.intent.subject,
        kind=OrderKind.BOOKING,
        status=OrderStatus.CAPTURED if captured else OrderStatus.PENDING,
        currency=terms.currency,
        total=terms.total,
        shipping=0,
        email=reservation.request.email,
        customer_id=None,
        address=None,
        fingerprint=reservation.intent.fingerprint,
        placed_at=terms.placed_at,
        grace_until=terms.placed_at,
    )


def _booking(reservation: Reservation) -> NewBooking:
    hotel, terms, policy = reservation.request.hotel, reservation.terms, reservation.policy
    return NewBooking(
        order_id=reservation.intent.subject,
        hotel=hotel.slug,
        hotel_name=hotel.name,
        hotel_email=hotel.email,
        check_in=terms.check_in,
        check_out=terms.check_out,
        time_zone=terms.time_zone,
        ends_at=terms.ends_at,
        policy_id=policy.id,
        policy_version=policy.version,
    )
