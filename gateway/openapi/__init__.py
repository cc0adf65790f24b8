"""The API, described: OpenAPI 3.1, made from the very types that check the bodies."""

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.openapi.answers import ANSWERS
from gateway.openapi.routes import ROUTES, TITLES, Route
from shared.requests import ID, ID_LENGTH

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
                "guest": {"type": "apiKey", "in": "query", "name": "token"},
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


#: What each header holds by which we know who speaks.
SIGNATURES: Mapping[str, str] = {
    "Stripe-Signature": "`t=` and `v1=`: the time, and the HMAC-SHA256 over it and the raw body",
    "X-Razorpay-Signature": "the HMAC-SHA256 over the raw body, in lower-case hex",
    "X-Delhivery-Secret": "the secret that was agreed on",
}


def _signature(name: str) -> dict[str, Any]:
    schema = {"type": "string"}
    return {"name": name, "in": "header", "required": True, "description": SIGNATURES[name], "schema": schema}


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
