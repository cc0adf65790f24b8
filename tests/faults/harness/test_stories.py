"""Any story of one order: whatever clients, broker, clock, provider and fate do, in the end the invariants hold."""

import random
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.faults.harness.boundaries import Crash, Cut, Killed, Side
from tests.faults.harness.checks import violations
from tests.faults.harness.faults import FAULTS, befalls
from tests.faults.harness.parcels import (
    Payment,
    announced,
    at_razorpay,
    at_stripe,
    at_the_door,
    hint,
    reference,
    sync_of_order,
    waybill,
)
from tests.faults.harness.rig import Request, Rig, Sale
from tests.faults.harness.sales import (
    another,
    approval,
    booked,
    booked_for_a_fee,
    booking,
    cancel_by_customer,
    cancel_by_operator,
    cancel_by_shopper,
    confirmed,
    elsewhere,
    guest_cancel,
    none_of_it,
    one_less,
    one_more,
    refund,
    refund_of_most,
    registration,
    told,
)
from tests.faults.harness.scheduler import Script, together
from tests.faults.harness.standins import COMES_BACK, DELIVERED, UNDER_WAY

#: Steps that a run must take at least.
STEPS = 2000

#: Seconds: less than the patience with a message, more than it, longer than a lease, and the grace period.
WAITS = (1.0, 31.0, 121.0, 3600.0)

#: The requests at which a provider or the courier may misbehave.
CALLS = (
    *("cancel", "capture", "increment", "refund", "retrieve"),
    *("razorpay.capture", "razorpay.refund", "razorpay.retrieve"),
    *("delhivery.cancel", "delhivery.track"),
)

#: How it may misbehave at each.
MISFORTUNES = [(call, fault) for call in CALLS for fault in sorted(FAULTS) if befalls(fault, call)]

#: What somebody may do at the provider's dashboard, with its parameters.
DASHBOARDS: dict[str, dict[str, Any]] = {
    "capture": {},
    "capture a part": {"amount_to_capture": 1000},
    "cancel": {},
    "increment_authorization": {"amount": 6000},
    "refund": {},
    "refund a part": {"amount": 1000},
}

#: What the provider may tell, true or not any more.
EVENTS = {
    "payment_intent.succeeded": "payment_intent",
    "payment_intent.canceled": "payment_intent",
    "charge.refunded": "charge",
}

THOROUGH = settings(
    max_examples=110,
    stateful_step_count=30,
    deadline=None,
    database=None,
    derandomize=False,
    print_blob=True,
    report_multiple_bugs=False,  # each is shortened for minutes
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)

places = st.integers(0, 9)

#: How soon somebody dies or is cut off, counted in boundaries, if anybody does.
fates = st.none() | st.tuples(st.integers(1, 5), st.sampled_from(Side), st.sampled_from((Killed, Cut)))
Fate = tuple[int, Side, type[BaseException]] | None


class Story(RuleBasedStateMachine):
    """One order, from its offer to the day when nothing is due any more."""

    rig: ClassVar[Rig]
    steps: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.rig.reset()
        self.sale = self.rig.offer()
        #: Whether the parcel has come back, or arrived.
        self.has_ended = False

    @initialize(
        told=st.booleans(),
        delivered=st.booleans(),
        pay=st.none() | st.sampled_from((at_stripe, at_razorpay, at_the_door)),
        fate=fates,
    )
    def begin(self, told: bool, delivered: bool, pay: Payment | None, fate: Fate) -> None:
        """Most stories are about an order that the mesh knows, and many of one that goes out by a parcel."""
        if pay:
            self.sale.body.update(pay(self.rig, self.sale) | announced(self.rig, self.sale))
        if told:
            self.rig.ask(registration(self.rig, self.sale))
        self._prepare(fate)
        if delivered:
            self.rig.deliver_all()

    # Clients

    @rule(fate=fates)
    def register(self, fate: Fate) -> None:
        self._prepare(fate)
        self.rig.ask(registration(self.rig, self.sale))

    @rule(fate=fates)
    def cancel_as_shopper(self, fate: Fate) -> None:
        self._prepare(fate)
        self.rig.ask(cancel_by_shopper(self.rig, self.sale))

    @rule(fate=fates)
    def cancel_as_customer(self, fate: Fate) -> None:
        self._prepare(fate)
        self.rig.ask(cancel_by_customer(self.rig, self.sale))

    @rule(fate=fates, ask=st.sampled_from((cancel_by_operator, refund, refund_of_most)))
    def act_as_operator(self, fate: Fate, ask: Callable[[Rig, Sale], Request]) -> None:
        self._prepare(fate)
        self.rig.ask(ask(self.rig, self.sale))

    @rule(fate=fates, ask=st.sampled_from((one_more, another, one_less, none_of_it, elsewhere)))
    def edit(self, fate: Fate, ask: Callable[[Rig, Sale], Request]) -> None:
        self._prepare(fate)
        self.rig.ask(ask(self.rig, self.sale))

    @precondition(lambda self: self.rig.asked)
    @rule(place=places)
    def repeat_a_request(self, place: int) -> None:
        asked = list(self.rig.asked.values())
        self.rig.ask(asked[place % len(asked)])

    # The broker

    @precondition(lambda self: self.rig.transport.messages)
    @rule(place=places, redelivers=st.booleans(), fate=fates)
    def deliver(self, place: int, redelivers: bool, fate: Fate) -> None:
        self._prepare(fate)
        self.rig.redelivers = redelivers
        self.rig.deliver(self._place(place))

    @precondition(lambda self: self.rig.transport.messages)
    @rule(place=places)
    def double(self, place: int) -> None:
        self.rig.transport.messages.append(self.rig.transport.messages[self._place(place)])

    @precondition(lambda self: self.rig.transport.messages)
    @rule(place=places)
    def lose(self, place: int) -> None:
        self.rig.transport.take(self._place(place))

    @precondition(lambda self: len(self.rig.transport.messages) > 1)
    @rule(choices=st.lists(st.integers(0, 1), max_size=12), fate=fates)
    def deliver_two_at_once(self, choices: list[int], fate: Fate) -> None:
        self._prepare(fate)
        taken = [self.rig.transport.take(), self.rig.transport.take()]
        works = {
            f"{message.task} {place}": lambda process, message=message: self.rig.run(message, process)
            for place, message in enumerate(taken)
        }
        together(self.rig, Script(tuple(choices), lenient=True), works)

    @rule()
    def lose_the_broker_or_find_it_again(self) -> None:
        self.rig.transport.away = not self.rig.transport.away

    # The clock

    @rule(fate=fates)
    def wake(self, fate: Fate) -> None:
        self._prepare(fate)
        self.rig.wake()

    @rule(seconds=st.sampled_from(WAITS))
    def wait(self, seconds: float) -> None:
        self.rig.pass_time(seconds)

    # The outside world

    @rule(misfortune=st.sampled_from(MISFORTUNES))
    def misbehave(self, misfortune: tuple[str, str]) -> None:
        call, fault = misfortune
        FAULTS[fault](self.rig, call)

    @rule(operation=st.sampled_from(("rcpt", "data")), fault=st.sampled_from(("451", "drop_before", "drop_after")))
    def lose_mail(self, operation: str, fault: str) -> None:
        self.rig.stand_ins.misbehave("mailbox", operation, fault)

    @rule(what=st.sampled_from(sorted(DASHBOARDS)))
    def use_the_dashboard(self, what: str) -> None:
        self.rig.at_dashboard(self.sale, what.split()[0], DASHBOARDS[what])

    @rule(type=st.sampled_from(sorted(EVENTS)), fate=fates)
    def hear_from_the_provider(self, type: str, fate: Fate) -> None:
        self._prepare(fate)
        self.rig.ask(told(type, EVENTS[type])(self.rig, self.sale))

    @rule()
    def let_the_hold_lapse(self) -> None:
        self.rig.stand_ins.expire(self.sale.reference)
        if self.sale.body["payment"]["provider"] == "razorpay":
            self.rig.stand_ins.lapse(reference(self.sale))

    @precondition(lambda self: "shipment" in self.sale.body and not self.has_ended)
    @rule(scan=st.sampled_from((UNDER_WAY, COMES_BACK, DELIVERED)), fate=fates)
    def hear_from_the_courier(self, scan: tuple[str, str], fate: Fate) -> None:
        self._prepare(fate)
        self.has_ended = scan is not UNDER_WAY
        self.rig.stand_ins.scan(waybill(self.sale), scan, picked_up=True)
        self.rig.ask(hint(self.rig, self.sale))

    @precondition(lambda self: "shipment" in self.sale.body)
    @rule(fate=fates)
    def look_at_the_parcel(self, fate: Fate) -> None:
        self._prepare(fate)
        self.rig.ask(sync_of_order(self.rig, self.sale))

    def teardown(self) -> None:
        self.rig.boundaries.crash = None
        self.rig.behave()
        self.rig.settle()
        self.rig.compare()
        found = violations(self.rig)
        assert not found, "\n".join(found)

    def _prepare(self, fate: Fate) -> None:
        if fate:
            ahead, side, end = fate
            self.rig.boundaries.crash = Crash(len(self.rig.boundaries.crossed) + ahead, side, end)

    def _place(self, place: int) -> int:
        return place % len(self.rig.transport.messages)

    def check_invariants(self, *args: Any, **kwargs: Any) -> None:
        """Hypothesis calls it after each step."""
        type(self).steps += 1
        super().check_invariants(*args, **kwargs)


class BookingStory(Story):
    """One booking; what is asked of an order is asked of it too, and most of it refused."""

    @initialize(how=st.sampled_from((booked, booked_for_a_fee, confirmed)), told=st.booleans(), fate=fates)
    def begin(self, how: Callable[[Rig, Sale], None], told: bool, fate: Fate) -> None:
        """Most stories are about a booking that the mesh knows, under either policy, paid for or not."""
        if told:
            how(self.rig, self.sale)
        self._prepare(fate)

    @rule(fate=fates)
    def register(self, fate: Fate) -> None:
        self._prepare(fate)
        self.rig.ask(booking(self.rig, self.sale))

    @rule(fate=fates)
    def approve(self, fate: Fate) -> None:
        self._prepare(fate)
        self.rig.ask(approval(self.rig, self.sale))

    @precondition(lambda self: self.rig.sql("SELECT FROM guest_tokens"))
    @rule(fate=fates)
    def cancel_as_guest(self, fate: Fate) -> None:
        self._prepare(fate)
        self.rig.ask(guest_cancel(self.rig, self.sale))


@pytest.mark.parametrize("story", [Story, BookingStory])
@pytest.mark.timeout(900)  # to find the shortest story that fails takes a while
def test_any_story_of_an_order_ends_well(rig: Rig, pytestconfig: pytest.Config, story: type[Story]) -> None:
    number = int(pytestconfig.getoption("--hypothesis-seed") or random.SystemRandom().getrandbits(32))
    story.rig, story.steps = rig, 0
    try:
        run_state_machine_as_test(seed(number)(story), settings=THOROUGH)
    except BaseException as failure:
        failure.add_note(f"run it again with --hypothesis-seed={number}")
        raise
    assert story.steps >= STEPS
