"""The API, described: OpenAPI 3.1, made from the very types that check the bodies."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from shared.domain.edits import MoneyAction
from shared.requests import (
    ID,
    ID_LENGTH,
    Address,
    AlertsAsked,
    DriftAsked,
    EditAsked,
    ItemQuantity,
    NewItem,
    Nothing,
    OrderCancellation,
    PolicyPreview,
    PreviewAsked,
    Refund,
    Registration,
    Retry,
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
    #: The header that carries a provider's signature over the body.
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
        ("bearer", "modification"),
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
    Route("get", "/healthz", "The process answers", (200,)),
    Route("get", "/readyz", "Requests can be recorded", (200, 503)),
    Route("get", "/metrics", "Counters for Prometheus", (200,), answer="Text", media_type="text/plain"),
    Route("get", "/openapi.json", "This document", (200,)),
)

_MONEY = {"type": "integer", "description": "minor units of the order's currency"}
_BOOKING_MONEY = {"type": "integer", "minimum": 0, "description": "minor units of the booking's currency"}
_MONEY_IF_KNOWN = {
    "type": ["integer", "null"],
    "description": "minor units of the order's currency; null while an order of a former system is not migrated",
}
_MONEY_ACTION = {"enum": [str(action) for action in MoneyAction]}
_TIME = {"type": "string", "format": "date-time"}


def _object(required: Mapping[str, Any], **optional: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {**required, **optional}, "required": list(required)}


#: A refund, or a void in its stead, in operators' answers.
_REFUND = {
    "refundId": {"type": "string"},
    "amount": {"type": "number", "description": "major units, with all the places of the currency"},
    "status": {"enum": ["initiated", "processing", "completed", "failed"]},
}

_NULLABLE = {"type": ["string", "null"]}
_POLICY_RULE = "^(free|free_window|non_refundable|no_show|rule_[0-9]+)$"
_TIME_OR_EVER = {"type": ["string", "null"], "format": "date-time", "description": "null: ever"}
_ALERT = _object(
    {
        "id": {"type": "string"},
        "cause": {"type": "string"},
        "severity": {"enum": ["warning", "critical"]},
        "state": {"enum": ["open", "acknowledged", "resolved"]},
        "title": {"type": "string"},
        "order_id": _NULLABLE,
        "opened_at": _TIME,
        "acknowledged_at": _NULLABLE,
        "acknowledged_by": _NULLABLE,
        "resolved_at": _NULLABLE,
    }
)
_DRIFT = _object(
    {
        "id": {"type": "string"},
        "order_id": {"type": "string"},
        "payment_id": {"type": "string"},
        "provider": {"type": "string"},
        "reference": {"type": "string"},
        "kind": {"enum": ["hold", "refunds"]},
        "ours": {"type": ["object", "array"]},
        "theirs": {"type": ["object", "array"]},
        "opened_at": _TIME,
        "resolved_at": _NULLABLE,
    }
)

ANSWERS: Mapping[str, Any] = {
    "Anything": {"type": "object"},
    "Text": {"type": "string"},
    "Problem": _object(
        {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "code": {"type": "string"},
            "message": {"type": "string"},
        }
    ),
    "Accepted": _object({"intent": {"type": "string"}, "state": {"enum": ["accepted", "working"]}}),
    "Registered": _object(
        {
            "order_id": {"type": "string"},
            "status": {"enum": ["pending", "captured"]},
            "total": _MONEY,
            "currency": {"type": "string"},
            "grace_until": _TIME,
            "modification_token": {"type": "string"},
        }
    ),
    "Canceled": _object(
        {
            "order_id": {"type": "string"},
            "status": {"const": "canceled"},
            "payment_action": {"enum": ["voided", "void_failed", "none"]},
        },
        warning={"type": "string"},
    ),
    "CanceledByOperator": _object(
        {
            "success": {"const": True},
            "message": {"type": "string"},
            "data": _object(
                {
                    "order": {"type": "object"},
                    "refundProcessed": {"type": "boolean"},
                    "refundDetails": {"anyOf": [_object(_REFUND), {"type": "null"}]},
                }
            ),
        }
    ),
    "Refunded": _object(
        {
            "success": {"const": True},
            "message": {"type": "string"},
            "data": _object(
                {
                    "order": {"type": "object"},
                    "refund": _object(
                        _REFUND
                        | {
                            "refundId": {"type": ["string", "null"]},
                            "status": {"enum": ["none", "initiated", "processing", "completed"]},
                            "isCOD": {"type": "boolean"},
                            "notPaid": {"type": "boolean"},
                            "alreadyRefunded": {"type": "boolean"},
                        }
                    ),
                }
            ),
        }
    ),
    "Retried": _object(
        {
            "id": {"type": "string"},
            "retried": {
                "type": "array",
                "items": _object({"task": {"type": "string"}, "id": {"type": "string"}}),
            },
        }
    ),
    "Alert": _ALERT,
    "Alerts": _object({"alerts": {"type": "array", "items": _ALERT}, "next": _NULLABLE}),
    "Drift": _object({"drift": {"type": "array", "items": _DRIFT}, "next": _NULLABLE}),
    "Received": _object({"received": {"const": True}}),
    "Stock": _object({"sku": {"type": "string"}, "quantity": {"type": "integer"}}),
    "PolicyPreviewed": _object(
        {
            "currency": {"type": "string"},
            "paid": _BOOKING_MONEY,
            "steps": {
                "type": "array",
                "items": _object(
                    {
                        "from": _TIME_OR_EVER,
                        "until": _TIME_OR_EVER,
                        "fee": _BOOKING_MONEY,
                        "refund": _BOOKING_MONEY,
                        "rule": {"type": "string", "pattern": _POLICY_RULE},
                        "description": {"type": "string"},
                    }
                ),
            },
        }
    ),
    "Edited": {
        "anyOf": [
            _object(
                {
                    "order_id": {"type": "string"},
                    "status": {"const": "pending"},
                    "currency": {"type": "string"},
                    "total": _MONEY,
                    "lines": {"type": "array"},
                    "payment_action": _MONEY_ACTION,
                }
            ),
            _object(
                {
                    "order_id": {"type": "string"},
                    "dry_run": {"const": True},
                    "currency": {"type": "string"},
                    "total_before": _MONEY,
                    "total": _MONEY,
                    "authorized": _MONEY,
                    "payment_action": _MONEY_ACTION,
                }
            ),
        ]
    },
    "Intent": _object(
        {
            "intent": {"type": "string"},
            "operation": {"type": "string"},
            "subject": {"type": "string"},
            "state": {"enum": ["accepted", "working", "done", "refused", "parked"]},
            "accepted_at": _TIME,
            "answer": {"type": ["object", "null"]},
        }
    ),
    "Order": _object(
        {
            "order_id": {"type": "string"},
            "kind": {"enum": ["retail"]},
            "status": {"enum": ["pending", "captured", "canceled"]},
            "currency": {"type": "string"},
            "total": _MONEY,
            "edit_status": {"enum": ["open", "editing", "locked_for_capture"]},
            "address": {"type": ["object", "null"]},
            "payment": _object(
                {
                    "provider": {"type": ["string", "null"], "description": "null: not known of a legacy order"},
                    "reference": {"type": ["string", "null"]},
                    "status": {"type": "string", "description": "of a legacy order in its former system's word"},
                    "authorized": _MONEY_IF_KNOWN,
                    "captured": _MONEY_IF_KNOWN,
                    "released": _MONEY_IF_KNOWN,
                    "refunded": _MONEY_IF_KNOWN,
                }
            ),
            "payments": {
                "type": "array",
                "items": _object(
                    {
                        "payment_id": {"type": "string"},
                        "reference": {"type": ["string", "null"]},
                        "status": {"type": "string"},
                        "amount": _MONEY,
                        "authorized": _MONEY,
                        "captured": _MONEY,
                        "released": _MONEY,
                        "refunded": _MONEY,
                    }
                ),
            },
            "refunds": {
                "type": "array",
                "items": _object(
                    {
                        "refund_id": {"type": "string"},
                        "payment_id": {"type": "string"},
                        "amount": _MONEY,
                        "status": {"enum": ["initiated", "processing", "completed", "failed"]},
                        "attempts": {"type": "integer"},
                    }
                ),
            },
            "shipment": {"type": ["object", "null"]},
            "lines": {"type": "array"},
            "timeline": {"type": "array"},
        }
    ),
}


#: Where a schema of the document stands.
REFERENCE = "#/components/schemas/{name}"


def document() -> str:
    """Return the OpenAPI document as JSON."""
    shapes = [shape for route in ROUTES for shape in (route.body, route.query) if shape]
    (_, components) = msgspec.json.schema_components(shapes, ref_template=REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method] = _operation(route)
    described = {
        "openapi": "3.1.0",
        "info": {"title": "Countermand", "version": "0.1.0", "description": "Takes orders back."},
        "paths": paths,
        "components": {
            "schemas": {**components, **ANSWERS},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "modification": {"type": "apiKey", "in": "header", "name": "x-modification-token"},
            },
        },
    }
    return msgspec.json.encode(described).decode()


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": route.summary,
        "parameters": [
            *_path_parameters(route),
            *_query_parameters(route),
            *(_intent_parameters(key_required=route.key_required) if route.is_intent else []),
            *([_signature(route.signature)] if route.signature else []),
        ],
        "responses": {str(status): _response(route, status) for status in sorted({*route.statuses, *_always(route)})},
    }
    if route.security:
        operation["security"] = [{name: []} for name in route.security]
    if route.body:
        schema = {"$ref": f"#/components/schemas/{route.body.__name__}"}
        operation["requestBody"] = {
            "required": route.body_required,
            "content": {"application/json": {"schema": schema}},
        }
    if route.signature:
        anything = {"application/json": {"schema": {"$ref": "#/components/schemas/Anything"}}}
        operation["requestBody"] = {"required": True, "content": anything}
    return operation


def _always(route: Route) -> tuple[int, ...]:
    return (500,) if route.is_intent else ()


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
    schema = {"type": "string", "pattern": ID, "maxLength": ID_LENGTH}
    return [{"name": name, "in": "path", "required": True, "schema": schema} for name in names]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    _, components = msgspec.json.schema_components([route.query], ref_template=REFERENCE)
    members = components[route.query.__name__]["properties"]
    return [{"name": name, "in": "query", "required": False, "schema": shape} for name, shape in members.items()]


def _signature(name: str) -> dict[str, Any]:
    description = "`t=` and `v1=`: the time, and the HMAC-SHA256 over it and the raw body"
    return {"name": name, "in": "header", "required": True, "description": description, "schema": {"type": "string"}}


def _intent_parameters(*, key_required: bool) -> list[dict[str, Any]]:
    return [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": key_required,
            "description": "the same key and body get the first answer again",
            "schema": {"type": "string", "pattern": r"^[\x21-\x7e]{1,255}$"},
        },
        {
            "name": "Prefer",
            "in": "header",
            "description": "`respond-async`: 202 at once; `wait=N`: wait N seconds at the most",
            "schema": {"type": "string"},
        },
    ]


def _response(route: Route, status: int) -> dict[str, Any]:
    if status >= 400:
        return _described(status, "application/problem+json", "Problem")
    if status == 202:
        return _described(status, "application/json", "Accepted")
    described = _described(status, route.media_type, route.answer)
    if route.pictured:
        described["content"] |= _content("image/svg+xml", "Text")
    return described


def _described(status: int, media_type: str, schema: str) -> dict[str, Any]:
    return {"description": TITLES[status], "content": _content(media_type, schema)}


def _content(media_type: str, schema: str) -> dict[str, Any]:
    return {media_type: {"schema": {"$ref": REFERENCE.format(name=schema)}}}
