"""PaymentIntent, Charge, Refund, Dispute and Event as they look on the wire, members in Stripe's order.

The structs are the wire format: what is stored is what is sent.  Members that never vary here (no Connect, no
invoices, no evidence) stand with the constant that Stripe sends.
"""

from __future__ import annotations

import secrets
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType, field

API_VERSION = "2026-10-28.endive"

_LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_TO_LETTER = bytes(_LETTERS[byte % len(_LETTERS)] for byte in range(256))

CaptureMethod = Literal["automatic", "automatic_async", "manual"]
Metadata = dict[str, str]


def new_id(prefix: str, length: int = 24) -> str:
    """A new id in Stripe's form, such as `pi_3kT0...`."""
    return f"{prefix}_{secrets.token_bytes(length).translate(_TO_LETTER).decode()}"


class Card(msgspec.Struct, frozen=True):
    """One of Stripe's test cards and what its issuer does: https://docs.stripe.com/testing."""

    payment_method: str
    brand: str
    last4: str
    decline_code: str | None = None
    needs_authentication: bool = False


TEST_CARDS = {
    "pm_card_visa": Card("pm_1SandboxCardVisa00000000", "visa", "4242"),
    "pm_card_mastercard": Card("pm_1SandboxCardMastercard00", "mastercard", "4444"),
    "pm_card_amex": Card("pm_1SandboxCardAmex00000000", "amex", "8431"),
    "pm_card_chargeDeclined": Card("pm_1SandboxCardDeclined0000", "visa", "0002", "generic_decline"),
    "pm_card_visa_chargeDeclined": Card("pm_1SandboxCardDeclined0000", "visa", "0002", "generic_decline"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": Card(
        "pm_1SandboxCardNoFunds00000", "visa", "9995", "insufficient_funds"
    ),
    "pm_card_authenticationRequired": Card("pm_1SandboxCardAuthenticate", "visa", "3184", needs_authentication=True),
}
#: The same cards by the id that an object shows; a PaymentMethod may be named by either.
CARDS = TEST_CARDS | {card.payment_method: card for card in TEST_CARDS.values()}


class Wire(msgspec.Struct, kw_only=True):
    """What every object on the wire can do."""

    def encode(self) -> bytes:
        """The object as JSON."""
        return msgspec.json.encode(self)

    def amend(self, metadata: dict[str, str | None]) -> None:
        """Merge metadata as Stripe does: a name without a value is removed."""
        kept: Metadata = self.metadata  # type: ignore[attr-defined]  # every object that is amended has it
        for key, value in metadata.items():
            kept.pop(key, None) if value is None else kept.update({key: value})


class Availability(msgspec.Struct):
    """Whether a card allows something, such as a second capture."""

    status: str


class Overcapture(msgspec.Struct):
    """How much may be captured beyond the authorization: nothing."""

    maximum_amount_capturable: int
    status: str = "unavailable"


class CardDetails(msgspec.Struct, kw_only=True):
    """`payment_method_details.card` of a charge: what was authorized, until when, and what else is allowed."""

    amount_authorized: int | None
    authorization_code: str = "123456"
    brand: str
    capture_before: int | UnsetType = UNSET
    checks: dict[str, str | None] = field(default_factory=lambda: {"cvc_check": "pass"})
    country: str = "US"
    exp_month: int = 12
    exp_year: int = 2034
    extended_authorization: Availability
    fingerprint: str = "SandboxFingerpri"
    funding: str = "credit"
    incremental_authorization: Availability
    last4: str
    multicapture: Availability
    network: str
    overcapture: Overcapture
    three_d_secure: None = None
    wallet: None = None


class PaymentMethodDetails(msgspec.Struct, kw_only=True):
    """How a charge was paid."""

    card: CardDetails
    type: str = "card"


class Outcome(msgspec.Struct, kw_only=True):
    """What the network and the issuer made of a charge."""

    network_status: str = "approved_by_network"
    reason: str | None = None
    risk_level: str = "normal"
    seller_message: str = "Payment complete."
    type: str = "authorized"


class Charge(Wire, kw_only=True, tag_field="object", tag="charge"):
    """One attempt to charge a card; an authorization until it is captured."""

    id: str
    amount: int
    amount_captured: int = 0
    amount_refunded: int = 0
    application: None = None
    application_fee: None = None
    application_fee_amount: None = None
    balance_transaction: str | None = None
    billing_details: dict[str, None] = field(
        default_factory=lambda: dict.fromkeys(("address", "email", "name", "phone"))
    )
    calculated_statement_descriptor: str = "COUNTERMAND"
    captured: bool = False
    created: int
    currency: str
    customer: str | None = None
    description: str | None = None
    disputed: bool = False
    failure_balance_transaction: None = None
    failure_code: str | None = None
    failure_message: str | None = None
    fraud_details: dict[str, str] = field(default_factory=dict)
    livemode: bool = False
    metadata: Metadata
    on_behalf_of: None = None
    outcome: Outcome
    paid: bool = True
    payment_intent: str | PaymentIntent
    payment_method: str
    payment_method_details: PaymentMethodDetails
    radar_options: dict[str, str] = field(default_factory=dict)
    receipt_email: str | None = None
    receipt_number: None = None
    receipt_url: str | None = None
    refunded: bool = False
    review: None = None
    shipping: Any = None
    source: None = None
    source_transfer: None = None
    statement_descriptor: str | None = None
    statement_descriptor_suffix: str | None = None
    status: Literal["succeeded", "pending", "failed"] = "succeeded"
    transfer_data: None = None
    transfer_group: str | None = None

    @property
    def card(self) -> CardDetails:
        """What is known of the card's authorization."""
        return self.payment_method_details.card

    @property
    def refundable(self) -> int:
        """Minor units that were captured and not given back."""
        return self.amount_captured - self.amount_refunded


class PaymentIntent(Wire, kw_only=True, tag_field="object", tag="payment_intent"):
    """The money side of one purchase."""

    id: str
    amount: int
    amount_capturable: int = 0
    amount_details: dict[str, dict[str, str]] = field(default_factory=lambda: {"tip": {}})
    amount_received: int = 0
    application: None = None
    application_fee_amount: None = None
    automatic_payment_methods: dict[str, Any] | None = None
    canceled_at: int | None = None
    cancellation_reason: str | None = None
    capture_method: CaptureMethod = "automatic_async"
    client_secret: str
    confirmation_method: str = "automatic"
    created: int
    currency: str
    customer: str | None = None
    description: str | None = None
    last_payment_error: dict[str, Any] | None = None
    latest_charge: str | Charge | None = None
    livemode: bool = False
    metadata: Metadata
    next_action: dict[str, Any] | None = None
    on_behalf_of: None = None
    payment_method: str | None = None
    payment_method_configuration_details: None = None
    payment_method_options: dict[str, Any]
    payment_method_types: list[str]
    processing: None = None
    receipt_email: str | None = None
    review: None = None
    setup_future_usage: str | None = None
    shipping: Any = None
    source: None = None
    statement_descriptor: str | None = None
    statement_descriptor_suffix: str | None = None
    status: str
    transfer_data: None = None
    transfer_group: str | None = None

    def asked_for(self, feature: str) -> bool:
        """Whether a card feature was requested at creation, such as `multicapture`."""
        card: dict[str, str] = self.payment_method_options.get("card", {})
        return card.get(f"request_{feature}") == "if_available"


class Refund(Wire, kw_only=True, tag_field="object", tag="refund"):
    """Captured money on its way back."""

    id: str
    amount: int
    balance_transaction: str | None = None
    charge: str | Charge
    created: int
    currency: str
    destination_details: dict[str, Any]
    failure_balance_transaction: UnsetType | str = UNSET
    failure_reason: UnsetType | str = UNSET
    metadata: Metadata
    payment_intent: str | PaymentIntent
    pending_reason: UnsetType | str = UNSET
    reason: str | None = None
    receipt_number: None = None
    source_transfer_reversal: None = None
    status: str = "succeeded"
    transfer_reversal: None = None


class Dispute(Wire, kw_only=True, tag_field="object", tag="dispute"):
    """A cardholder's claim against a charge."""

    id: str
    amount: int
    balance_transactions: list[Any] = field(default_factory=list)
    charge: str | Charge
    created: int
    currency: str
    enhanced_eligibility_types: list[str] = field(default_factory=list)
    evidence: dict[str, None] = field(default_factory=dict)
    evidence_details: dict[str, Any]
    is_charge_refundable: bool = False
    livemode: bool = False
    metadata: Metadata = field(default_factory=dict)
    payment_intent: str | PaymentIntent
    reason: str = "fraudulent"
    status: str = "needs_response"


class EventRequest(msgspec.Struct):
    """The request that caused an event; both None when no request did."""

    id: str | None
    idempotency_key: str | None


class Event(Wire, kw_only=True, tag_field="object", tag="event"):
    """Something that happened, with the object as it was then."""

    id: str
    api_version: str = API_VERSION
    created: int
    data: dict[str, PaymentIntent | Charge | Refund | Dispute]
    livemode: bool = False
    pending_webhooks: int
    request: EventRequest
    type: str
