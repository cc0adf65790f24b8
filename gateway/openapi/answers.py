"""The shapes of what the API answers."""

from collections.abc import Mapping
from typing import Any

from shared.domain.bookings import BookingStatus, GuestAction
from shared.domain.edits import MoneyAction
from shared.domain.orders import CancellationRefund, CancellationSource, OrderKind, OrderStatus
from shared.domain.shipments import CancelState, ShipmentStatus

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
_BOOKING_STATUS = {"enum": [str(status) for status in BookingStatus]}
_GUEST_TOKEN = {"type": ["string", "null"], "description": "null: the key that it is derived from is gone"}
_MAJOR = {"type": "string", "description": "major units, with all the places of the currency"}
_TIME_OR_NULL = {"type": ["string", "null"], "format": "date-time"}
_CANCELLATION = _object(
    {
        "cancelled_at": _TIME,
        "cancellation_fee": _MAJOR,
        "refund_amount": _MAJOR,
        "currency": {"type": "string"},
        "description": {"type": "string"},
        "applied_rule": {"type": "string", "pattern": _POLICY_RULE},
        "refund_reference": _NULLABLE,
        "refund_processed_at": _TIME_OR_NULL,
        "reason": {"type": "string"},
    }
)
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

_SHIPMENT = _object(
    {
        "courier": {"type": "string"},
        "awb": {"type": "string"},
        "status": {"enum": [str(status) for status in ShipmentStatus]},
        "courier_status": _NULLABLE | {"description": "the courier's own word"},
        "status_at": _TIME_OR_NULL,
        "picked_up": {"type": "boolean"},
        "canceled_at": _TIME_OR_NULL,
        "cancellation_reason": _NULLABLE,
        "canceled_before_pickup": {"type": ["boolean", "null"]},
        "cancel_state": {"enum": [*(str(state) for state in CancelState), None]},
    }
)
_SYNC_LINE = _object(
    {
        "orderId": {"type": "string"},
        "awb": {"type": "string"},
        "success": {"type": "boolean"},
        "status": _NULLABLE,
        "cancellationDetected": {"type": "boolean"},
        "error": _NULLABLE,
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
            "payment_action": {"enum": ["voided", "void_failed", "lapsing", "none"]},
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
    "ShipmentSet": _object({name: {"type": "string"} for name in ("order_id", "courier", "awb")}),
    "Synced": _object(
        {
            "success": {"const": True},
            "message": {"type": "string"},
            "data": _object(
                {
                    "order": {"type": "object"},
                    "status": {"type": "string", "description": "the courier's own word"},
                    "cancellationDetected": {"type": "boolean"},
                }
            ),
        }
    ),
    "BulkSynced": _object(
        {
            "success": {"const": True},
            "message": {"type": "string"},
            "data": _object(
                {
                    **{name: {"type": "integer"} for name in ("total", "synced", "cancelled", "errors")},
                    "details": {"type": "array", "items": _SYNC_LINE},
                }
            ),
        }
    ),
    "Pushed": _object({"success": {"const": True}, "message": {"type": "string"}}),
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
    "PolicySet": _object(
        {"policy_id": {"type": "string"}, "version": {"type": "integer"}, "policy": {"type": "object"}}
    ),
    "BookingRegistered": _object(
        {
            "booking_id": {"type": "string"},
            "status": _BOOKING_STATUS,
            "total": _BOOKING_MONEY,
            "currency": {"type": "string"},
            "nights": {"type": "integer"},
            "policy_id": {"type": "string"},
            "policy_version": {"type": "integer"},
            "guest_token": _GUEST_TOKEN,
        }
    ),
    "GuestInvited": _object(
        {
            "booking_id": {"type": "string"},
            "actions": {"type": "array", "items": {"enum": [str(action) for action in GuestAction]}},
            "expires_at": _TIME,
            "guest_token": _GUEST_TOKEN,
        }
    ),
    "BookingApproved": _object(
        {
            "booking_id": {"type": "string"},
            "status": _BOOKING_STATUS | {"description": "as it stood before; its capture is under way"},
        }
    ),
    "BookingCanceled": _object(
        {"success": {"const": True}, "message": {"type": "string"}, "cancellation": _CANCELLATION}
    ),
    "Booking": _object(
        {
            "booking_id": {"type": "string"},
            "status": _BOOKING_STATUS,
            "hotel": _object({name: {"type": "string"} for name in ("slug", "name", "time_zone")}),
            "check_in": {"type": "string", "description": "on the hotel's wall clock"},
            "check_out": {"type": "string", "description": "on the hotel's wall clock"},
            "nights": {"type": "integer"},
            "currency": {"type": "string"},
            "total": _MAJOR,
            "paid": _MAJOR,
            "can_cancel": {"type": "boolean"},
            "quote": {
                "anyOf": [
                    _object(
                        {
                            "quote_id": {"type": "string"},
                            "cancellation_fee": _MAJOR,
                            "refund_amount": _MAJOR,
                            "currency": {"type": "string"},
                            "description": {"type": "string"},
                            "applied_rule": {"type": "string", "pattern": _POLICY_RULE},
                            "valid_until": _TIME,
                        }
                    ),
                    {"type": "null"},
                ]
            },
            "cancellation": {"anyOf": [_CANCELLATION, {"type": "null"}]},
        }
    ),
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
            "progress": {
                "anyOf": [_object({"total": {"type": "integer"}, "done": {"type": "integer"}}), {"type": "null"}],
                "description": "of long work: how many shipments a bulk sync is of, and how many are done",
            },
            "answer": {"type": ["object", "null"]},
        }
    ),
    "Order": _object(
        {
            "order_id": {"type": "string"},
            "kind": {"enum": [str(kind) for kind in OrderKind]},
            "status": {"enum": [str(status) for status in OrderStatus]},
            "currency": {"type": "string"},
            "total": _MONEY,
            "shipping": _MONEY,
            "placed_at": _TIME,
            "grace_until": _TIME,
            "canceled_at": _TIME_OR_NULL,
            "cancellation_source": {"enum": [*(str(source) for source in CancellationSource), None]},
            "cancellation_refund": {"enum": [str(refund) for refund in CancellationRefund]},
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
            "shipment": {"anyOf": [_SHIPMENT, {"type": "null"}]},
            "booking": {"type": ["object", "null"], "description": "the terms of a booking"},
            "lines": {"type": "array"},
            "timeline": {"type": "array"},
        }
    ),
}
