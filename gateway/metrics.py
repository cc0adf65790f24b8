"""What the gateway counts, for Prometheus."""

import time
from typing import Any

import falcon
from prometheus_client import REGISTRY as PROCESS_REGISTRY
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

REQUESTS = Counter("countermand_http_requests_total", "Requests answered", ["method", "route", "status"])
SECONDS = Histogram("countermand_http_request_seconds", "Time to the answer, waiting included", ["method", "route"])
WEBHOOKS = Counter(
    "countermand_webhooks_total", "Webhooks: recorded, duplicate, ignored or refused", ["provider", "outcome"]
)
ALERTS = Gauge(
    "countermand_alerts_unresolved", "Alerts whose cause is still there", ["severity"], multiprocess_mode="mostrecent"
)
WAITING = Gauge(
    "countermand_waiting_intents", "Intents that clients of this process wait for", multiprocess_mode="livesum"
)


class Measure:
    """Middleware that counts and times every request by its route, never by its path: paths hold ids."""

    def process_request(self, request: falcon.Request, _: falcon.Response) -> None:
        """Note when the request came."""
        request.context.started = time.perf_counter()

    def process_response(self, request: falcon.Request, response: falcon.Response, _: Any, __: bool) -> None:
        """Count the answer."""
        route = request.uri_template or "unknown"
        REQUESTS.labels(request.method, route, response.status_code).inc()
        SECONDS.labels(request.method, route).observe(time.perf_counter() - request.context.started)


def exposition() -> bytes:
    """Return the metrics of all gateway processes where they share a directory, else of this one."""
    try:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # it has no types
    except ValueError:  # PROMETHEUS_MULTIPROC_DIR is not set
        registry = PROCESS_REGISTRY
    return generate_latest(registry)
