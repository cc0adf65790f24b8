"""Every endpoint: its route, what a fault calls it, what it does, and the parameters it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.stripe import authorizing, creating, holding, reading, refunds
from sandbox.stripe.call import Call
from sandbox.stripe.objects import Charge, Dispute, Event, PaymentIntent, Refund, Wire
from sandbox.stripe.parameters import (
    Check,
    anything,
    boolean,
    choice,
    currency,
    identifier,
    integer,
    listing,
    metadata,
    nested,
    not_negative,
    page_size,
    positive,
    text,
)

EXPAND: Mapping[str, Check] = {"expand": listing(identifier)}


@dataclass(frozen=True)
class Endpoint:
    """One endpoint; `answers` is the shape it answers with, or lists."""

    operation: str
    carry_out: Callable[[Call], Any]
    answers: type[Wire]
    checks: Mapping[str, Check] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    lists: bool = False


def created(name: str, sent: Any) -> dict[str, int]:
    """A moment, or bounds around it, in unix seconds."""
    if isinstance(sent, str):
        moment = integer(name, sent)
        return {"gte": moment, "lte": moment}
    return nested(dict.fromkeys(reading.COMPARISONS, integer))(name, sent)  # type: ignore[no-any-return]


ASKED = choice("if_available", "never")

CARD_OPTIONS = {
    "capture_method": choice("manual"),
    "request_extended_authorization": ASKED,
    "request_incremental_authorization": ASKED,
    "request_multicapture": ASKED,
    "request_overcapture": ASKED,
    "request_three_d_secure": choice("any", "automatic", "challenge"),
    "setup_future_usage": choice("none", "off_session", "on_session"),
    "statement_descriptor_suffix_kana": text,
    "statement_descriptor_suffix_kanji": text,
}

#: Parameters that mean nothing here and that a real integration sends.
OF_NO_MEANING = dict.fromkeys(
    [
        "application_fee_amount", "error_on_requires_action", "mandate", "mandate_data", "on_behalf_of",
        "radar_options", "return_url", "transfer_data", "use_stripe_sdk",
    ],
    anything,
)  # fmt: skip

CREATE = {
    "amount": positive,
    "automatic_payment_methods": nested(
        {"enabled": boolean, "allow_redirects": choice("always", "never")}, ("enabled",)
    ),
    "capture_method": choice("automatic", "automatic_async", "manual"),
    "confirm": boolean,
    "confirmation_method": choice("automatic", "manual"),
    "currency": currency,
    "customer": identifier,
    "description": text,
    "metadata": metadata,
    "off_session": boolean,
    "payment_method": identifier,
    "payment_method_options": nested({"card": nested(CARD_OPTIONS)}),
    "payment_method_types": listing(choice("card")),
    "receipt_email": text,
    "setup_future_usage": choice("off_session", "on_session"),
    "shipping": anything,
    "statement_descriptor": text,
    "statement_descriptor_suffix": text,
    "transfer_group": text,
    **OF_NO_MEANING,
    **EXPAND,
}
CONFIRM = {
    "off_session": boolean,
    "payment_method": identifier,
    "receipt_email": text,
    "shipping": anything,
    **OF_NO_MEANING,
    **EXPAND,
}
CAPTURE = {
    "amount_to_capture": not_negative,
    "application_fee_amount": anything,
    "final_capture": boolean,
    "metadata": metadata,
    "statement_descriptor": text,
    "statement_descriptor_suffix": text,
    "transfer_data": anything,
    **EXPAND,
}
CANCEL = {
    "cancellation_reason": choice("duplicate", "fraudulent", "requested_by_customer", "abandoned"),
    **EXPAND,
}
INCREMENT = {
    "amount": positive,
    "application_fee_amount": anything,
    "description": text,
    "metadata": metadata,
    "statement_descriptor": text,
    "transfer_data": anything,
    **EXPAND,
}
REFUND = {
    "amount": positive,
    "charge": identifier,
    "instructions_email": text,
    "metadata": metadata,
    "payment_intent": identifier,
    "reason": choice("duplicate", "fraudulent", "requested_by_customer"),
    "refund_application_fee": boolean,
    "reverse_transfer": boolean,
    **EXPAND,
}
PAGE: Mapping[str, Check] = {
    "created": created,
    "ending_before": identifier,
    "limit": page_size,
    "starting_after": identifier,
    **EXPAND,
}

ENDPOINTS: Mapping[str, Endpoint] = {
    "POST /v1/payment_intents": Endpoint("create", creating.create, PaymentIntent, CREATE, ("amount", "currency")),
    "POST /v1/payment_intents/{id}/confirm": Endpoint("confirm", authorizing.confirm, PaymentIntent, CONFIRM),
    "POST /v1/payment_intents/{id}/capture": Endpoint("capture", holding.capture, PaymentIntent, CAPTURE),
    "POST /v1/payment_intents/{id}/cancel": Endpoint("cancel", holding.cancel, PaymentIntent, CANCEL),
    "POST /v1/payment_intents/{id}/increment_authorization": Endpoint(
        "increment", holding.increment, PaymentIntent, INCREMENT, ("amount",)
    ),
    "POST /v1/refunds": Endpoint("refund", refunds.create, Refund, REFUND),
    "GET /v1/payment_intents/{id}": Endpoint(
        "retrieve", reading.retrieve(PaymentIntent), PaymentIntent, {"client_secret": text, **EXPAND}
    ),
    "GET /v1/charges/{id}": Endpoint("retrieve", reading.retrieve(Charge), Charge, EXPAND),
    "GET /v1/refunds/{id}": Endpoint("retrieve", reading.retrieve(Refund), Refund, EXPAND),
    "GET /v1/disputes/{id}": Endpoint("retrieve", reading.retrieve(Dispute), Dispute, EXPAND),
    "GET /v1/events/{id}": Endpoint("retrieve", reading.retrieve(Event), Event, EXPAND),
    "GET /v1/payment_intents": Endpoint(
        "retrieve",
        reading.page(PaymentIntent, "/v1/payment_intents"),
        PaymentIntent,
        {"customer": identifier, **PAGE},
        lists=True,
    ),
    "GET /v1/charges": Endpoint(
        "retrieve",
        reading.page(Charge, "/v1/charges"),
        Charge,
        {"payment_intent": identifier, **PAGE},
        lists=True,
    ),
    "GET /v1/refunds": Endpoint(
        "retrieve",
        reading.page(Refund, "/v1/refunds"),
        Refund,
        {"payment_intent": identifier, "charge": identifier, **PAGE},
        lists=True,
    ),
    "GET /v1/events": Endpoint(
        "retrieve", reading.page(Event, "/v1/events"), Event, {"type": identifier, **PAGE}, lists=True
    ),
}
