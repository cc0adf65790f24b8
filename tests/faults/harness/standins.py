"""The outside world in this process: the strict stand-ins and the mailbox, served on loopback by a thread.

Mail goes through the real mailbox, not a recording: its ledger is what the check of the invariants already reads, a
conversation over loopback costs a millisecond, and it can refuse and hang up as a server does.
"""

import asyncio
import contextlib
import math
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from sandbox.delhivery import api as delhivery_api
from sandbox.delhivery import scanning
from sandbox.delhivery.control import Control as DelhiveryControl
from sandbox.delhivery.lag import Lag
from sandbox.delhivery.shipments import Scan, Shipment
from sandbox.delhivery.store import Store as Delhivery
from sandbox.delhivery.throttle import Throttle
from sandbox.faults import Fault, Faults
from sandbox.http import Handler, Server
from sandbox.mailbox import smtp
from sandbox.mailbox.store import Store as Mailbox
from sandbox.razorpay import api as razorpay_api
from sandbox.razorpay import endpoints as razorpay_endpoints
from sandbox.razorpay import payments, refunds
from sandbox.razorpay.call import Call as RazorpayCall
from sandbox.razorpay.refusals import Refusal as RazorpayRefusal
from sandbox.razorpay.store import Store as Razorpay
from sandbox.stripe import api as stripe_api
from sandbox.stripe import endpoints as stripe_endpoints
from sandbox.stripe import holding
from sandbox.stripe.call import Call as StripeCall
from sandbox.stripe.refusals import Refusal as StripeRefusal
from sandbox.stripe.store import Store as Stripe

Row = dict[str, Any]
Answer = TypeVar("Answer")

#: The routes of each stand-in that speaks HTTP, and the faults that each of its operations may meet.
ENDPOINTS: Mapping[str, Mapping[str, Any]] = {
    "stripe": stripe_endpoints.ENDPOINTS,
    "razorpay": razorpay_endpoints.ENDPOINTS,
    "delhivery": delhivery_api.ENDPOINTS,
}
FAULTS = {
    "stripe": stripe_api.FAULTS,
    "razorpay": razorpay_api.FAULTS,
    "delhivery": delhivery_api.FAULTS,
    "mailbox": smtp.FAULTS,
}

#: How a parcel stands that was handed over, one that comes back, and one that has arrived.
UNDER_WAY, COMES_BACK, DELIVERED = ("UD", "In Transit"), ("RT", "In Transit"), ("DL", "Delivered")
#: The same, with its code, of one that was canceled before anybody took it over.
NEVER_LEFT = ("UD", "Not Picked"), "DTUP-210"

#: Requests that the courier's firewall lets in: as many as there are, since in a test no time passes between them.
UNLIMITED = 10**9


class StandIns:
    """All of them, as long as their thread runs."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="stand-ins", daemon=True)
        #: Where each is reached.
        self.urls: dict[str, str] = {}
        #: Seconds until Razorpay gives back what it holds, unless that is captured.
        self._holds: dict[str, float] = {}
        #: The place in Razorpay's ledger up to which every refund is decided.
        self._decided = 0

    def start(self) -> None:
        """Return when they can be reached."""
        self._thread.start()
        if not self._ready.wait(30):
            raise RuntimeError("the stand-ins did not start")

    def stop(self) -> None:
        """End them and their thread."""
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        self._loop.close()

    # What they have seen

    def record(self, stand_in: str, what: str, since: int = 0) -> list[Row]:
        """The rows after a place in the `ledger` of one of them, or in its list of `requests`."""
        of_one = (since,) if stand_in == "mailbox" else (None, since)
        return self._ask(lambda: getattr(self._stores[stand_in], what)(*of_one))

    # How they misbehave

    def misbehave(self, stand_in: str, operation: str, fault: str, times: int = 1) -> None:
        """Arm a fault of one of them; a request that is to hang is dropped at once."""
        self._ask(lambda: self._faults[stand_in].arm(Fault(operation, fault, times, seconds=0.0)))

    def behave(self) -> None:
        """Disarm every fault."""
        for faults in self._faults.values():
            self._ask(faults.clear)

    def forget_keys(self) -> None:
        """Let the providers forget every idempotency key, as they may after a day."""
        self._ask(self._stripe.forget_keys)
        self._ask(self._razorpay.forget_keys)

    # What happens there by itself

    def pass_time(self, seconds: float) -> None:
        """Let so much time pass: keys age, holds lapse, and what was only accepted takes effect."""
        self._ask(lambda: self._stripe.age_keys(seconds))
        for reference in self._holds:
            self._holds[reference] -= seconds
        for reference in [each for each, left in self._holds.items() if left <= 0]:
            self.lapse(reference)
        self._ask(self._settle_cancels)
        self._decide_refunds()

    def forget_holds(self) -> None:
        """No hold of a former scenario lapses in this one."""
        self._holds.clear()

    def expire(self, reference: str) -> None:
        """Let an authorization at Stripe lapse, if there is one."""

        def lapse() -> None:
            with contextlib.suppress(StripeRefusal), self._stripe.transaction():
                holding.expire(StripeCall(self._stripe, reference))

        self._ask(lapse)

    def lapse(self, reference: str) -> None:
        """Let Razorpay give back what it holds, if it does."""
        self._holds.pop(reference, None)
        self.at_razorpay(refunds.lapse, reference)

    def _settle_cancels(self) -> None:
        for step in self._delhivery.due(math.inf):
            self._lag.settle(step.awb)

    def _decide_refunds(self) -> None:
        rows = self.record("razorpay", "ledger", self._decided)
        made = {row["object"] for row in rows if row["operation"] == "refund.created"}
        for refund in made - {row["object"] for row in rows if row["operation"] != "refund.created"}:
            self.at_razorpay(refunds.process, refund)
        self._decided = max((row["seq"] for row in rows), default=self._decided)

    # What people do there

    def pay(self, amount: int, lasts: float) -> str:
        """A shopper pays at Razorpay, in paise; what nobody captures lapses after so many seconds."""
        checkout = payments.Checkout(amount=amount)
        reference: str = self.at_razorpay(lambda call: payments.check_out(call, checkout)).id
        self._holds[reference] = lasts
        return reference

    def at_razorpay(self, effect: Callable[[RazorpayCall], Any], *ids: str, **parameters: Any) -> Any:
        """Somebody does this at Razorpay's dashboard, which may refuse: then nothing comes of it."""

        def happen() -> Any:
            with contextlib.suppress(RazorpayRefusal), self._razorpay.transaction():
                return effect(RazorpayCall(self._razorpay, list(ids), parameters))

        return self._ask(happen)

    def manifest(self, waybill: str) -> None:
        """Announce a parcel to Delhivery."""
        shipment = Shipment(waybill, f"ORD-{waybill}", "Pre-paid", 0, reverse=False)
        self._ask(lambda: scanning.manifest(self._delhivery, [shipment]))

    def scan(self, waybill: str, pair: tuple[str, str], code: str = "", *, picked_up: bool = False) -> None:
        """Delhivery scans a parcel, which overtakes a cancel that has not taken effect."""

        def happen() -> None:
            with self._delhivery.transaction():
                self._lag.overtake(waybill)
                scanning.scan(self._delhivery, waybill, Scan(*pair, code, "", scanning.now()), picked_up=picked_up)

        self._ask(happen)

    # Their thread

    def _ask(self, question: Callable[[], Answer]) -> Answer:
        """Ask in their thread, between two requests."""

        async def answer() -> Answer:
            return question()

        return asyncio.run_coroutine_threadsafe(answer(), self._loop).result(30)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._open()
        servers = {name: Server(handler) for name, handler in self._handlers().items()}
        sink = smtp.Sink(self._mailbox.keep, self._faults["mailbox"])
        self.urls = {name: f"http://127.0.0.1:{await server.start(0)}" for name, server in servers.items()}
        self.smtp_port = await sink.start(0)
        self._ready.set()
        await self._end.wait()
        await sink.stop()
        for server in servers.values():
            await server.stop()
        self._lag.stop()
        for store in self._stores.values():
            store.close()

    def _open(self) -> None:
        self._faults = {name: Faults(known) for name, known in FAULTS.items()}
        self._stripe, self._razorpay = Stripe(self._root / "stripe"), Razorpay(self._root / "razorpay")
        self._delhivery, self._mailbox = Delhivery(self._root / "delhivery"), Mailbox(self._root / "mailbox")
        self._stores: dict[str, Any] = {
            "stripe": self._stripe,
            "razorpay": self._razorpay,
            "delhivery": self._delhivery,
            "mailbox": self._mailbox,
        }
        #: What was accepted takes effect when time passes, and not before.
        self._lag = Lag(self._delhivery, UNLIMITED, None)

    def _handlers(self) -> dict[str, Handler]:
        """What answers the requests to each."""
        faults = self._faults["delhivery"]
        control = DelhiveryControl(self._delhivery, faults, self._lag, None)
        return {
            "stripe": stripe_api.Api(self._stripe, self._faults["stripe"], None).handle,
            "razorpay": razorpay_api.Api(self._razorpay, self._faults["razorpay"], None).handle,
            "delhivery": delhivery_api.Api(self._delhivery, faults, self._lag, Throttle(UNLIMITED), control).handle,
        }
