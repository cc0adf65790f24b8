"""Stripe, through its own SDK (stripe-python 16): https://docs.stripe.com/api/payment_intents.

Every call that moves money carries our idempotency key; the SDK would invent a random one.  It retries nothing by
itself: our outbox does, under the same key, with the outcome written down in between.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import requests
import stripe
from requests.adapters import HTTPAdapter

from shared.providers.ports import (
    AlreadyRefunded,
    Authorization,
    Captured,
    Declined,
    Dispute,
    DisputeStatus,
    HoldStatus,
    InProgress,
    ProviderRefund,
    RefundStatus,
    RefundTag,
    Refused,
    Unknown,
    Unraisable,
    Voided,
)

stripe.enable_telemetry = False  # it would write a file to the home directory and send an id

#: What a PaymentIntent's status means while nothing has been captured of it.
HOLD: Mapping[str, HoldStatus] = {
    "requires_payment_method": HoldStatus.UNCONFIRMED,
    "requires_confirmation": HoldStatus.UNCONFIRMED,
    "requires_action": HoldStatus.UNCONFIRMED,
    "processing": HoldStatus.UNCONFIRMED,
    "requires_capture": HoldStatus.HELD,
    "canceled": HoldStatus.RELEASED,
    "succeeded": HoldStatus.CAPTURED,
}

#: What a PaymentIntent that could not be canceled tells of itself.
NOT_CANCELED: Mapping[str, Voided] = {
    "canceled": Voided.ALREADY_RELEASED,
    "succeeded": Voided.ALREADY_CAPTURED,
}

#: Cancellation reasons of a PaymentIntent whose authorization lapsed.
EXPIRED = ("expired", "automatic")

#: What a PaymentIntent that could not be captured tells of itself.
NOT_CAPTURED: Mapping[str, Captured] = {
    "succeeded": Captured.ALREADY_CAPTURED,
    "canceled": Captured.LAPSED,
}

#: What a Refund's status means; one that we do not know may still be decided.
REFUND: Mapping[str, RefundStatus] = {
    "pending": RefundStatus.PENDING,
    "requires_action": RefundStatus.PENDING,
    "succeeded": RefundStatus.SUCCEEDED,
    "failed": RefundStatus.FAILED,
    "canceled": RefundStatus.FAILED,
}

#: Names of a Refund's metadata that hold our tag.
TAG_ID, TAG_GENERATION = "countermand_refund", "countermand_generation"

#: The name of a PaymentIntent's metadata that holds the edit for which it was made.
TAG_EDIT = "countermand_edit"

#: Why a card cannot be charged beside a hold on it: nobody saved it for that.
NO_SAVED_CARD = "no_saved_card"

#: Objects on a page of a list; the most that Stripe gives.
PAGE = 100

#: What a Dispute's status means; every other one still waits for somebody.
DISPUTE: Mapping[str, DisputeStatus] = {
    "won": DisputeStatus.WON,
    "prevented": DisputeStatus.WON,
    "warning_closed": DisputeStatus.WON,
    "lost": DisputeStatus.LOST,
}

KEY_IN_USE = "idempotency_key_in_use"
UNEXPECTED_STATE = "payment_intent_unexpected_state"
ALREADY_REFUNDED = "charge_already_refunded"

Answer = TypeVar("Answer")
Outcome = TypeVar("Outcome", Voided, Captured)


class Stripe:
    """A `PaymentProvider` whose references are PaymentIntent ids."""

    def __init__(self, api_key: str, api_base: str, timeout: tuple[float, float], connections: int) -> None:
        """`timeout` is (connect, read) in seconds; `connections` are kept open, for as many calls at once."""
        session = requests.Session()
        session.trust_env = False  # no proxy or netrc look-up in every request
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=connections))
        client = stripe.StripeClient(
            api_key,
            base_addresses={"api": api_base} if api_base else {},
            max_network_retries=0,
            http_client=stripe.RequestsClient(timeout=timeout, session=session),
        )
        self._intents, self._refunds = client.v1.payment_intents, client.v1.refunds
        self._disputes = client.v1.disputes

    def read(self, reference: str) -> Authorization:
        """Return the PaymentIntent as an authorization."""
        return _authorization(_ask(lambda: self._intents.retrieve(reference, {"expand": ["latest_charge"]})))

    def void(self, reference: str, key: str) -> Voided:
        """Cancel the PaymentIntent."""
        try:
            _ask(
                lambda: self._intents.cancel(
                    reference, {"cancellation_reason": "requested_by_customer"}, {"idempotency_key": key}
                )
            )
        except _UnexpectedState as error:
            return _meaning(NOT_CANCELED, error)
        return Voided.RELEASED

    def increment(self, reference: str, amount: int, key: str) -> None:
        """Raise the PaymentIntent's authorization to `amount` minor units."""
        try:
            _ask(lambda: self._intents.increment_authorization(reference, {"amount": amount}, {"idempotency_key": key}))
        except _UnexpectedState as error:  # it is held, and still cannot be raised: the card, or ten attempts
            refusal = Unraisable if error.status == "requires_capture" else Refused
            raise refusal(f"{UNEXPECTED_STATE}:{error.status}") from error

    def authorize_beside(self, reference: str, amount: int, tag: str, key: str) -> Authorization:
        """Create another PaymentIntent for the same Customer and PaymentMethod; without both it is `Refused`."""
        first = _ask(lambda: self._intents.retrieve(reference))
        if not (first.customer and first.payment_method):
            raise Refused(NO_SAVED_CARD)
        wish: Any = {
            "amount": amount,
            "currency": first.currency,
            "customer": first.customer,
            "payment_method": first.payment_method,
            "payment_method_types": ["card"],
            "payment_method_options": {"card": {"request_incremental_authorization": "if_available"}},
            "capture_method": "manual",
            "confirm": True,
            "off_session": True,
            "metadata": {TAG_EDIT: tag},
            "expand": ["latest_charge"],
        }
        return _authorization(_ask(lambda: self._intents.create(wish, {"idempotency_key": key})))

    def find_beside(self, reference: str, tag: str) -> Authorization | None:
        """Look through the Customer's PaymentIntents, the newest first."""
        first = _ask(lambda: self._intents.retrieve(reference))
        if not first.customer:
            return None
        wish: Any = {"customer": first.customer, "limit": PAGE, "expand": ["data.latest_charge"]}
        wish |= {"created": {"gte": first.created}}
        found = _ask(lambda: list(self._intents.list(wish).auto_paging_iter()))
        mine = [intent for intent in found if intent.metadata and intent.metadata.to_dict().get(TAG_EDIT) == tag]
        return next((_authorization(intent) for intent in mine if intent.status == "requires_capture"), None)

    def capture(self, reference: str, amount: int, key: str) -> Captured:
        """Capture `amount` minor units of the PaymentIntent; Stripe releases the rest."""
        try:
            _ask(lambda: self._intents.capture(reference, {"amount_to_capture": amount}, {"idempotency_key": key}))
        except _UnexpectedState as error:
            return _meaning(NOT_CAPTURED, error)
        return Captured.CAPTURED

    def refund(self, reference: str, amount: int, tag: RefundTag, key: str) -> ProviderRefund:
        """Create a Refund of `amount` minor units of the PaymentIntent."""
        metadata = {TAG_ID: tag.refund_id, TAG_GENERATION: str(tag.generation)}
        wish: Any = {"payment_intent": reference, "amount": amount, "metadata": metadata}
        return _refund(_ask(lambda: self._refunds.create(wish, {"idempotency_key": key})))

    def read_refund(self, provider_id: str) -> ProviderRefund:
        """Return a Refund as it stands."""
        return _refund(_ask(lambda: self._refunds.retrieve(provider_id)))

    def refunds(self, reference: str) -> list[ProviderRefund]:
        """Return every Refund of the PaymentIntent, the newest first."""
        wish: Any = {"payment_intent": reference, "limit": PAGE}
        return _ask(lambda: [_refund(found) for found in self._refunds.list(wish).auto_paging_iter()])

    def read_dispute(self, reference: str) -> Dispute:
        """Return a Dispute as it stands."""
        found = _ask(lambda: self._disputes.retrieve(reference))
        status = DISPUTE.get(str(found.status), DisputeStatus.OPEN)
        return Dispute(reference, status, found.amount, found.currency.upper())


class _UnexpectedState(Exception):
    """The PaymentIntent is in a state that does not allow the call."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


def _meaning(table: Mapping[str, Outcome], error: _UnexpectedState) -> Outcome:
    if error.status not in table:
        raise Refused(f"{UNEXPECTED_STATE}:{error.status}")
    return table[error.status]


def _ask(call: Callable[[], Answer]) -> Answer:
    """Make one call and sort its failure.  Raises `Refused`, `Unknown`, `InProgress` or `_UnexpectedState`."""
    try:
        return call()
    except (stripe.CardError, stripe.InvalidRequestError) as error:
        code = _code(error)
        if code == UNEXPECTED_STATE:
            raise _UnexpectedState(_details(error).get("payment_intent", {}).get("status", "")) from error
        if code == ALREADY_REFUNDED:
            raise AlreadyRefunded(code) from error
        raise (Declined if isinstance(error, stripe.CardError) else Refused)(code) from error
    except stripe.StripeError as error:  # also a wrong API key: a person mends it, and the operation goes on
        code = _code(error)
        raise (InProgress if code == KEY_IN_USE else Unknown)(code) from error
    except Exception as error:  # the SDK tripped over an answer that is not Stripe's: it may have happened
        raise Unknown(type(error).__name__) from error


def _authorization(intent: stripe.PaymentIntent) -> Authorization:
    captured = intent.amount_received
    status = HOLD.get(intent.status, HoldStatus.UNCONFIRMED)
    if captured and captured < intent.amount:
        status = HoldStatus.PARTIALLY_CAPTURED
    held = 0 if status is HoldStatus.RELEASED else intent.amount_capturable
    return Authorization(
        reference=intent.id,
        status=status,
        currency=intent.currency.upper(),
        authorized=0 if status is HoldStatus.UNCONFIRMED else intent.amount,
        captured=captured,
        released=0 if status is HoldStatus.UNCONFIRMED else intent.amount - captured - held,
        refunded=_refunded(intent),
        capture_before=_capture_before(intent),
        expired=getattr(intent, "cancellation_reason", None) in EXPIRED,
        incremental=_incremental(intent),
    )


def _refund(found: stripe.Refund) -> ProviderRefund:
    status = REFUND.get(str(found.status), RefundStatus.PENDING)
    metadata = found.metadata.to_dict() if found.metadata else {}
    generation = metadata.get(TAG_GENERATION, "")
    return ProviderRefund(
        provider_id=found.id,
        amount=found.amount,
        status=status,
        error=getattr(found, "failure_reason", None) or found.status if status is RefundStatus.FAILED else None,
        tag=RefundTag(metadata[TAG_ID], int(generation)) if TAG_ID in metadata and generation.isdecimal() else None,
    )


def _code(error: stripe.StripeError) -> str:
    """A short name for logs and rows: Stripe's code, else its type; never its message, which may name people."""
    details = _details(error)
    return str(details.get("code") or details.get("type") or type(error).__name__)


def _details(error: stripe.StripeError) -> dict[str, Any]:
    body = error.json_body
    details = body.get("error") if isinstance(body, dict) else None
    return details if isinstance(details, dict) else {}


def _refunded(intent: stripe.PaymentIntent) -> int:
    return getattr(intent.latest_charge, "amount_refunded", 0)


def _incremental(intent: stripe.PaymentIntent) -> bool:
    return getattr(getattr(_card(intent), "incremental_authorization", None), "status", None) == "available"


def _capture_before(intent: stripe.PaymentIntent) -> datetime | None:
    seconds = getattr(_card(intent), "capture_before", None)
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def _card(intent: stripe.PaymentIntent) -> Any:
    charge = intent.latest_charge
    return None if charge is None or isinstance(charge, str) else getattr(charge.payment_method_details, "card", None)
