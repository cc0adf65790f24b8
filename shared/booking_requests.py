"""What hotels and their guests send us: policies, bookings and their cancels, checked for shape as all bodies are."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from shared.domain.bookings import Basis, GuestAction
from shared.domain.payments import Provider
from shared.domain.policies import MOST_DAYS, MOST_HOURS, MOST_NIGHTS, MOST_RULES, Fee, Policy, Rule, Terms
from shared.requests import END, EPOCH, Currency, Email, Id, Minor, NoPayment, OrderLine, Text

#: A decimal string, so that no float ever touches money.
Percent = Annotated[
    str,
    Meta(pattern=r"^(100(\.0{1,2})?|[0-9]{1,2}(\.[0-9]{1,2})?)" + END, description='"12.5"; at most two places'),
]
#: A moment without a zone: a clock on a wall needs none.
WallTime = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?" + END,
        description="on the hotel's wall clock, 2026-12-24T15:00",
    ),
]
TimeZone = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9_+/-]+" + END, max_length=64, description="IANA's name, Europe/Dublin")
]
Hours = Annotated[int, Meta(ge=0, le=MOST_HOURS)]


class PolicyFee(Struct, frozen=True, forbid_unknown_fields=True):
    """What a cancel costs: exactly one of percent, amount and nights."""

    percent: Percent | None = None
    amount: Minor | None = None
    nights: Annotated[int, Meta(ge=0, le=MOST_NIGHTS, description="the price of so many, on average")] | None = None

    def __post_init__(self) -> None:
        self.fee()

    def fee(self) -> Fee:
        """Return the fee that the rules know."""
        return Fee(None if self.percent is None else Decimal(self.percent), self.amount, self.nights)


class PolicyRule(PolicyFee, frozen=True, forbid_unknown_fields=True):
    """From when on a cancel costs this: exactly one of days_before and hours_before."""

    days_before: Annotated[int, Meta(ge=0, le=MOST_DAYS, description="on the hotel's wall clock")] | None = None
    hours_before: Hours | None = None

    def __post_init__(self) -> None:
        if (self.days_before is None) == (self.hours_before is None):
            raise ValueError("exactly one of days_before, hours_before must be given")
        self.rule()

    def rule(self) -> Rule:
        """Return the rule that the rules know."""
        return Rule(self.fee(), self.days_before, self.hours_before)


class CancellationPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """What it costs to take a booking back; `currency` is required where there are amounts."""

    rules: Annotated[tuple[PolicyRule, ...], Meta(max_length=MOST_RULES)] = ()
    no_show: PolicyFee = PolicyFee(percent="100")
    refundable: bool = True
    free_hours: Hours = 0
    minimum: Minor | None = None
    maximum: Minor | None = None
    currency: Currency | None = None
    capture_fee: bool = False

    def __post_init__(self) -> None:
        self.policy()

    def policy(self) -> Policy:
        """Return the policy that the rules know."""
        return Policy(
            rules=tuple(rule.rule() for rule in self.rules),
            no_show=self.no_show.fee(),
            refundable=self.refundable,
            free_hours=self.free_hours,
            minimum=self.minimum,
            maximum=self.maximum,
            currency=self.currency,
            capture_fee=self.capture_fee,
        )


class PreviewedBooking(Struct, frozen=True, forbid_unknown_fields=True):
    """The booking of a preview."""

    currency: Currency
    total: Minor
    placed_at: Annotated[datetime, Meta(tz=True)]
    check_in: WallTime
    check_out: WallTime
    time_zone: TimeZone


#: What the description of the API shows.
POLICY_EXAMPLE = {
    "rules": [{"days_before": 7, "percent": "50"}, {"hours_before": 48, "nights": 1}],
    "free_hours": 24,
    "minimum": 1000,
    "currency": "EUR",
}
BOOKING_EXAMPLE = {
    "currency": "EUR",
    "total": 60000,
    "placed_at": "2026-11-21T12:00:00Z",
    "check_in": "2026-12-24T15:00",
    "check_out": "2026-12-27T11:00",
    "time_zone": "Europe/Berlin",
}


class PolicyPreview(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /policies/preview`: what a policy means to a booking of which so much is paid; its total, unless told."""

    policy: Annotated[CancellationPolicy, Meta(examples=[POLICY_EXAMPLE])]
    booking: Annotated[PreviewedBooking, Meta(examples=[BOOKING_EXAMPLE])]
    paid: Minor | None = None

    def __post_init__(self) -> None:
        self.terms()

    def terms(self) -> Terms:
        """Return the terms of the booking."""
        booking = self.booking
        return Terms(
            policy=self.policy.policy(),
            currency=booking.currency,
            total=booking.total,
            placed_at=booking.placed_at,
            check_in=datetime.fromisoformat(booking.check_in),
            check_out=datetime.fromisoformat(booking.check_out),
            time_zone=booking.time_zone,
        )


class PreviewAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """The query of a preview: its form, unless `Accept` names it."""

    format: Literal["json", "svg"] | UnsetType = UNSET


class Hotel(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a guest stays: `slug` names the hotel in URLs."""

    slug: Id
    name: Text
    email: Email
    time_zone: TimeZone


class BookingPayment(Struct, frozen=True, forbid_unknown_fields=True, tag_field="provider", tag=str(Provider.STRIPE)):
    """Stripe is to hold the money, or does so already; without a reference nobody knows of a payment there yet."""

    reference: Id | None = None
    provider: ClassVar[Provider] = Provider.STRIPE


class GuestLink(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /bookings/{id}/tokens`: a link that opens a booking, and what it is good for.

    Without `expires_at` it is good until some time after the stay.
    """

    actions: Annotated[tuple[GuestAction, ...], Meta(min_length=1, max_length=2)] = (
        GuestAction.VIEW,
        GuestAction.CANCEL,
    )
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


class BookingRegistration(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /bookings`: a stay, what it costs, and the policy by which its guest may take it back."""

    hotel: Hotel
    currency: Currency
    email: Email
    check_in: WallTime
    check_out: WallTime
    policy_id: Id
    lines: Annotated[list[OrderLine], Meta(min_length=1, max_length=200)]
    payment: BookingPayment | NoPayment = NoPayment()
    booking_id: Id | None = None
    placed_at: Annotated[datetime, Meta(tz=True, description="starts the free window; not before 2000")] | None = None
    guest_link: GuestLink = GuestLink()

    def __post_init__(self) -> None:
        if self.placed_at is not None and self.placed_at < EPOCH:
            raise ValueError("placed_at lies before 2000")
        for wall in (self.check_in, self.check_out):
            datetime.fromisoformat(wall)


class GuestToken(Struct, frozen=True):
    """What is kept of a token: its name, the key that it is derived from, and its SHA-256 in hexadecimal."""

    id: str
    kid: str
    hash: str


class Issued(Struct, frozen=True):
    """What the gateway adds to a request that issues a token; no client says it."""

    guest_token: GuestToken


class GuestCancel(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /hotels/{slug}/bookings/{id}`: a guest takes a booking back; the token may stand in the query instead."""

    token: Annotated[str, Meta(max_length=200)] | None = None
    quote_id: Annotated[str, Meta(max_length=1000)] | None = None
    reason: Text = "Guest cancellation via management link"


class BookingCancellation(Struct, frozen=True):
    """The same as it is recorded: without the token, and with what the quote says."""

    reason: str
    quoted_at: datetime | None
    #: Where the money was when the quote was made.
    shown: Basis | None


class BookingAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """The query of a guest's routes."""

    token: Annotated[str, Meta(max_length=200)] | UnsetType = UNSET
