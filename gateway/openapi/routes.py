"""Every route of the API: what it takes, and how it may answer."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from shared.booking_requests import (
    BookingRegistration,
    CancellationPolicy,
    GuestCancel,
    GuestLink,
    PolicyPreview,
    PreviewAsked,
)
from shared.requests import (
    Address,
    AlertsAsked,
    BulkSync,
    DriftAsked,
    EditAsked,
    ItemQuantity,
    NewItem,
    Nothing,
    OrderCancellation,
    Refund,
    Registration,
    Retry,
    Shipment,
    StockLevel,
)

#: Refusals that every route with a body may answer.
BODY_REFUSALS = (400, 413, 415, 422)

TITLES: Mapping[int, str] = {
    200: "Done",
    201: "Created",
    202: "Accepted; look at the Location for its outcome",
    400: "The request or its idempotency key could not be read",
    401: "A valid token is required",
    402: "The card's issuer declined",
    403: "This token does not allow that",
    404: "There is no such thing here",
    409: "The state of things does not allow that",
    413: "The body is too large",
    415: "The body must be application/json",
    422: "The request is not what this route takes",
    429: "A refund has just failed; try again when Retry-After is over",
    500: "The request could not be carried out; a person looks at it",
    502: "The payment provider did not accept it",
    503: "The service cannot take requests right now",
}


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path."""

    method: str
    path: str
    summary: str
    statuses: tuple[int, ...]
    security: tuple[str, ...] = ()
    body: type[msgspec.Struct] | None = None
    body_required: bool = True
    query: type[msgspec.Struct] | None = None
    #: Whether its repetition would be another request, were it not for an idempotency key.
    key_required: bool = False
    #: The header that carries a provider's signature over the body, or the secret that a courier was given.
    signature: str = ""
    answer: str = "Anything"
    media_type: str = "application/json"
    #: Whether the answer can also be had as a picture.
    pictured: bool = False

    @property
    def is_intent(self) -> bool:
        """Whether it is accepted before it is carried out, and so takes `Idempotency-Key` and `Prefer`."""
        return 202 in self.statuses


ROUTES = (
    Route(
        "post",
        "/orders",
        "Register what was bought, with its payment",
        (200, 201, 202, 401, 403, 409, 503, *BODY_REFUSALS),
        ("bearer",),
        Registration,
        answer="Registered",
    ),
    Route(
        "get",
        "/orders/{order_id}",
        "Look at an order",
        (200, 401, 403, 404, 503),
        ("bearer", "modification"),
        answer="Order",
    ),
    Route(
        "put",
        "/orders/{order_id}/shipment",
        "Tell by which parcel an order goes out; one of Delhivery's is followed from then on",
        (200, 202, 401, 403, 404, 409, 503, *BODY_REFUSALS),
        ("bearer",),
        Shipment,
        answer="ShipmentSet",
    ),
    Route(
        "post",
        "/store/orders/{order_id}/cancel",
        "Take an order back in its grace period",
        (200, 202, 401, 403, 404, 409, 503, *BODY_REFUSALS),
        ("modification", "bearer"),
        Nothing,
        body_required=False,
        answer="Canceled",
    ),
    Route(
        "post",
        "/store/orders/{order_id}/items",
        "Add units of an item in the grace period, at its price in the order, else at today's",
        (200, 202, 401, 402, 403, 404, 409, 502, 503, *BODY_REFUSALS),
        ("modification", "bearer"),
        NewItem,
        query=EditAsked,
        key_required=True,
        answer="Edited",
    ),
    Route(
        "post",
        "/store/orders/{order_id}/items/{item_id}",
        "Change the units of a line in the grace period; 0 removes it",
        (200, 202, 401, 402, 403, 404, 409, 502, 503, *BODY_REFUSALS),
        ("modification", "bearer"),
        ItemQuantity,
        query=EditAsked,
        answer="Edited",
    ),
    Route(
        "post",
        "/store/orders/{order_id}/address",
        "Send the goods elsewhere, in the grace period",
        (200, 202, 401, 403, 404, 409, 503, *BODY_REFUSALS),
        ("modification", "bearer"),
        Address,
        query=EditAsked,
        answer="Edited",
    ),
    Route(
        "post",
        "/api/admin/orders/{order_id}/cancel",
        "Take an order back at any time, and give its money back",
        (200, 202, 401, 403, 404, 409, 503, *BODY_REFUSALS),
        ("bearer",),
        OrderCancellation,
        body_required=False,
        answer="CanceledByOperator",
    ),
    Route(
        "post",
        "/api/admin/orders/{order_id}/refund",
        "Give captured money back, all of it or a part; what is only held is released",
        (200, 202, 401, 403, 404, 409, 429, 502, 503, *BODY_REFUSALS),
        ("bearer",),
        Refund,
        body_required=False,
        answer="Refunded",
    ),
    Route(
        "post",
        "/api/admin/orders/{order_id}/sync-delhivery",
        "Look up where an order's parcel is; an order whose parcel is canceled or comes back is taken back",
        (200, 202, 401, 403, 404, 409, 503, *BODY_REFUSALS),
        ("bearer",),
        Nothing,
        body_required=False,
        answer="Synced",
    ),
    Route(
        "post",
        "/api/admin/orders/bulk-sync-delhivery",
        "The same for those parcels that were not looked up for longest; answered when the last one was",
        (200, 202, 401, 403, 503, *BODY_REFUSALS),
        ("bearer",),
        BulkSync,
        body_required=False,
        answer="BulkSynced",
    ),
    Route(
        "post",
        "/api/admin/intents/{intent_id}/retry",
        "Put back to work what is parked of an intent; a void, a refund or a capture job may be named instead",
        (200, 202, 401, 403, 404, 409, 503, *BODY_REFUSALS),
        ("bearer",),
        Retry,
        answer="Retried",
    ),
    Route(
        "put",
        "/stock/{sku}",
        "Set the units of a SKU that can be sold",
        (200, 202, 401, 403, 404, 503, *BODY_REFUSALS),
        ("bearer",),
        StockLevel,
        answer="Stock",
    ),
    Route(
        "get", "/stock/{sku}", "Tell the units that can be sold", (200, 401, 403, 404, 503), ("bearer",), answer="Stock"
    ),
    Route(
        "put",
        "/policies/{policy_id}",
        "Set what it costs to take back a booking that is made from now on",
        (200, 202, 401, 403, 404, 503, *BODY_REFUSALS),
        ("bearer",),
        CancellationPolicy,
        answer="PolicySet",
    ),
    Route(
        "post",
        "/bookings",
        "Register a stay, what it costs, and the policy by which its guest may take it back",
        (200, 201, 202, 401, 403, 409, 503, *BODY_REFUSALS),
        ("bearer",),
        BookingRegistration,
        answer="BookingRegistered",
    ),
    Route(
        "post",
        "/bookings/{booking_id}/tokens",
        "Issue one more link to a booking",
        (200, 202, 401, 403, 404, 503, *BODY_REFUSALS),
        ("bearer",),
        GuestLink,
        body_required=False,
        answer="GuestInvited",
    ),
    Route(
        "post",
        "/bookings/{booking_id}/approve",
        "Accept a booking: what is held for it is captured",
        (200, 202, 401, 403, 404, 409, 503, *BODY_REFUSALS),
        ("bearer",),
        Nothing,
        body_required=False,
        answer="BookingApproved",
    ),
    Route(
        "get",
        "/hotels/{slug}/bookings/{booking_id}",
        "Look at a booking, and at what it costs to take it back now",
        (200, 401, 403, 422, 503),
        ("guest",),
        answer="Booking",
    ),
    *(
        Route(
            "post",
            f"/hotels/{{slug}}/bookings/{{booking_id}}{suffix}",
            "Take a booking back by its link; the token may stand in the body instead of the query",
            (200, 202, 401, 403, 409, 502, 503, *BODY_REFUSALS),
            ("guest",),
            GuestCancel,
            body_required=False,
            answer="BookingCanceled",
        )
        for suffix in ("", "/cancel")
    ),
    Route(
        "post",
        "/policies/preview",
        "Tell what a policy of cancellation would cost a guest over time; nothing is recorded",
        (200, 401, 403, *BODY_REFUSALS),
        ("bearer",),
        PolicyPreview,
        query=PreviewAsked,
        answer="PolicyPreviewed",
        pictured=True,
    ),
    Route(
        "get",
        "/intents/{intent_id}",
        "See how an accepted request has fared",
        (200, 401, 403, 404, 503),
        ("bearer", "modification", "guest"),
        answer="Intent",
    ),
    Route(
        "get",
        "/api/admin/alerts",
        "What a person must look at, the newest first",
        (200, 401, 403, 422, 503),
        ("bearer",),
        query=AlertsAsked,
        answer="Alerts",
    ),
    Route(
        "post",
        "/api/admin/alerts/{alert_id}/acknowledge",
        "Say that somebody looks at an alert",
        (200, 202, 401, 403, 404, 503, *BODY_REFUSALS),
        ("bearer",),
        Nothing,
        body_required=False,
        answer="Alert",
    ),
    Route(
        "get",
        "/api/admin/drift",
        "Where our rows and the providers disagree, the newest first",
        (200, 401, 403, 422, 503),
        ("bearer",),
        query=DriftAsked,
        answer="Drift",
    ),
    Route(
        "post",
        "/webhooks/stripe",
        "Stripe tells that something happened; the event is durable when this answers",
        (200, 400, 413, 503),
        signature="Stripe-Signature",
        answer="Received",
    ),
    Route(
        "post",
        "/webhooks/razorpay",
        "Razorpay tells that something happened; the event is durable when this answers",
        (200, 400, 413, 503),
        signature="X-Razorpay-Signature",
        answer="Received",
    ),
    Route(
        "post",
        "/api/shipping/delhivery/webhook",
        "Delhivery tells of a parcel; the look at it is durable when this answers, and decides what is to be done",
        (200, 400, 401, 413, 503),
        signature="X-Delhivery-Secret",
        answer="Pushed",
    ),
    Route("get", "/healthz", "The process answers", (200,)),
    Route("get", "/readyz", "Requests can be recorded", (200, 503)),
    Route("get", "/metrics", "Counters for Prometheus", (200,), answer="Text", media_type="text/plain"),
    Route("get", "/openapi.json", "This document", (200,)),
)
