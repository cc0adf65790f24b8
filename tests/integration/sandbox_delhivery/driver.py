"""Delhivery's stand-in, driven over HTTP as the mesh does, and a webhook that takes its pushes."""

from __future__ import annotations

import itertools
import json
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests

from tests.integration.sandbox_process import Running, running

AUTHORIZED = {"Authorization": "Token sandbox", "Accept": "application/json"}
TRACK = "/api/v1/packages/json/"
CANCEL = "/api/p/edit"

WAYBILLS = map(str, itertools.count(1234567890001))


class Sandbox:
    """One running stand-in, as a test talks to it: through Delhivery's API, and through /_sandbox/."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = requests.Session()

    def close(self) -> None:
        self.http.close()

    def manifest(self, **more: Any) -> str:
        """The waybill of a new shipment."""
        awb = next(WAYBILLS)
        self.tell("POST", "shipments", json={"awb": awb, "reference_no": f"ORD-{awb}", **more})
        return awb

    def scan(self, awb: str, status_type: str, status: str, **more: Any) -> dict[str, Any]:
        scanned: dict[str, Any] = self.tell(
            "POST", f"scan/{awb}", json={"status_type": status_type, "status": status, **more}
        )
        return scanned

    def ask(self, *awbs: str, timeout: float = 5, **more: Any) -> requests.Response:
        """Track these waybills, and take whatever is answered."""
        query = {"waybill": ",".join(awbs), "verbose": "1", **more}
        return self.http.get(self.url + TRACK, params=query, headers=AUTHORIZED, timeout=timeout)

    def track(self, *awbs: str, **more: Any) -> dict[str, dict[str, Any]]:
        """The shipments that are answered, by waybill, in the order of the answer."""
        answer = self.ask(*awbs, **more)
        assert answer.status_code == 200, answer.text
        return {each["Shipment"]["AWB"]: each["Shipment"] for each in answer.json()["ShipmentData"]}

    def stands(self, awb: str) -> tuple[str, str, str]:
        """Type, status and code of a shipment."""
        status = self.track(awb)[awb]["Status"]
        return status["StatusType"], status["Status"], status["StatusCode"]

    def request_cancel(self, awb: str, timeout: float = 5, **more: str) -> requests.Response:
        """Cancel a shipment, with `more` headers, and take whatever is answered."""
        body = {"waybill": awb, "cancellation": "true"}
        return self.http.post(self.url + CANCEL, json=body, headers=AUTHORIZED | more, timeout=timeout)

    def cancel(self, awb: str) -> dict[str, Any]:
        answer = self.request_cancel(awb)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def arm(self, operation: str, fault: str, **more: Any) -> None:
        self.tell("POST", "faults", json={"operation": operation, "fault": fault, **more})

    def tell(self, method: str, path: str, **more: Any) -> Any:
        answer = self.http.request(method, f"{self.url}/_sandbox/{path}", timeout=30, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def effects(self, awb: str) -> list[str]:
        return [row["operation"].removeprefix("shipment.") for row in self.tell("GET", f"ledger?object={awb}")]

    def pushes(self, awb: str) -> list[tuple[int, int | None]]:
        """Which attempt each push was, and what it was answered."""
        return [(row["attempt"], row["status"]) for row in self.tell("GET", f"pushes?object={awb}")]


@contextmanager
def sandbox(data: Path, *arguments: str) -> Iterator[tuple[Sandbox, Running]]:
    with running("sandbox.delhivery", "--port", "0", "--data", str(data), *arguments) as process:
        driven = Sandbox(process.addresses[0])
        try:
            yield driven, process
        finally:
            driven.close()


class Receiver:
    """A webhook; it answers with the statuses it was given first and then with 200, each after `seconds`."""

    def __init__(self) -> None:
        self.received: queue.Queue[tuple[Any, dict[str, str]]] = queue.Queue()
        self.statuses: list[int] = []
        self.seconds: list[float] = []
        receiver = self

        class Endpoint(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                # Chosen before the test sees the push: what the test orders next is for the next push.
                status = receiver.statuses.pop(0) if receiver.statuses else 200
                seconds = receiver.seconds.pop(0) if receiver.seconds else 0
                receiver.received.put((body, dict(self.headers)))
                time.sleep(seconds)  # as slow as the test wants the receiver to be
                self.send_response(status)
                self.end_headers()
                self.wfile.write(b'{"success":true}')

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
        self.url = f"http://127.0.0.1:{self._server.server_port}/api/shipping/delhivery/webhook"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next(self) -> Any:
        """The body of the next push."""
        return self.received.get(timeout=5)[0]
