"""What does it cost to take a booking back, and from when on?"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

from shared import money
from shared.domain import totals

#: Two years before check-in, in days and in hours: nobody books a room earlier.
MOST_DAYS, MOST_HOURS = 730, 17_520

#: Nights of one fee, and rules of one policy: more than any hotel prints.
MOST_NIGHTS, MOST_RULES = 365, 20

#: Years in which a stay may begin and end: nothing that a policy reckons from them overflows.
FIRST_YEAR, LAST_YEAR = 2000, 2199


def _exactly_one(**members: object) -> None:
    if sum(value is not None for value in members.values()) != 1:
        raise ValueError(f"exactly one of {', '.join(members)} must be given")


def _within(most: int, **members: int | None) -> None:
    for name, value in members.items():
        if value is not None and not 0 <= value <= most:
            raise ValueError(f"{name} must be from 0 to {most}")


@dataclass(frozen=True, slots=True)
class Fee:
    """What a cancel costs, in one of three ways.  Raises `ValueError` unless exactly one is given."""

    #: Of what the booking costs: 0 to 100.
    percent: Decimal | None = None
    #: Minor units of the policy's currency.
    amount: int | None = None
    #: The price of so many nights of the stay, on average.
    nights: int | None = None

    def __post_init__(self) -> None:
        _exactly_one(percent=self.percent, amount=self.amount, nights=self.nights)
        if self.percent is not None and not (self.percent.is_finite() and 0 <= self.percent <= 100):
            raise ValueError("percent must be from 0 to 100")
        _within(totals.LIMIT, amount=self.amount)
        _within(MOST_NIGHTS, nights=self.nights)

    def of(self, total: int, nights: int) -> int:
        """Return the fee of a stay of so many nights that costs `total`, in minor units, a half rounded up."""
        if self.percent is not None:
            return money.rounded(total * self.percent / 100)
        if self.nights is not None:
            return money.rounded(Decimal(total * self.nights) / nights)
        return self.amount or 0

    def words(self, currency: str) -> str:
        """Return the fee for a guest to read, e.g. `50% of the price`."""
        if self.percent is not None:
            return f"{self.percent.normalize():f}% of the price"
        if self.nights is not None:
            return f"the price of {_counted(self.nights, 'night')}"
        return money.text(self.amount or 0, currency)


@dataclass(frozen=True, slots=True)
class Rule:
    """From its edge on, a cancel costs its fee.  Raises `ValueError` unless exactly one edge is given."""

    fee: Fee
    #: Calendar days before check-in, at the same time on the hotel's wall clock.
    days: int | None = None
    #: Hours before check-in, by a stop watch.
    hours: int | None = None

    def __post_init__(self) -> None:
        _exactly_one(days=self.days, hours=self.hours)
        _within(MOST_DAYS, days=self.days)
        _within(MOST_HOURS, hours=self.hours)

    @property
    def words(self) -> str:
        """When it holds, for a guest to read."""
        before = _counted(self.hours, "hour") if self.hours is not None else _counted(self.days or 0, "day")
        return f"less than {before} before check-in" if self.days or self.hours else "after check-in"


@dataclass(frozen=True, slots=True)
class Policy:
    """A hotel's terms of cancellation; amounts in minor units of `currency`.

    Raises `ValueError` for amounts without a currency, and for a minimum above the maximum.
    """

    rules: tuple[Rule, ...] = ()
    #: From check-in on.
    no_show: Fee = Fee(percent=Decimal(100))
    #: When it is not, the price is kept, except in the free window.
    refundable: bool = True
    #: How long after it was placed any booking is canceled free.
    free_hours: int = 0
    #: Bounds of any fee but zero, and but what is kept because it is not refundable.
    minimum: int | None = None
    maximum: int | None = None
    currency: str | None = None
    #: Whether a fee is captured from money that is only held.
    capture_fee: bool = False

    def __post_init__(self) -> None:
        if len(self.rules) > MOST_RULES:
            raise ValueError(f"a policy has at most {MOST_RULES} rules")
        _within(MOST_HOURS, free_hours=self.free_hours)
        _within(totals.LIMIT, minimum=self.minimum, maximum=self.maximum)
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError("minimum is above maximum")
        if self.has_amounts and self.currency is None:
            raise ValueError("currency is required where there are amounts")

    @property
    def has_amounts(self) -> bool:
        """Whether anything in it is money of a currency."""
        fees = [self.no_show, *(rule.fee for rule in self.rules)]
        return any(amount is not None for amount in (self.minimum, self.maximum, *(fee.amount for fee in fees)))


@dataclass(frozen=True, slots=True)
class Terms:
    """What one booking costs, when it begins, and what was agreed for its cancellation.

    Raises `ValueError` for a time zone that there is not, for a stay that does not end after it begins, and for a
    policy whose amounts are of another currency.
    """

    policy: Policy
    currency: str
    #: Minor units.
    total: int
    #: With a zone.
    placed_at: datetime
    #: On the hotel's wall clock, without a zone.
    check_in: datetime
    check_out: datetime
    #: IANA's name of the hotel's time zone.
    time_zone: str

    def __post_init__(self) -> None:
        _within(totals.LIMIT, total=self.total)
        if self.placed_at.tzinfo is None:
            raise ValueError("placed_at must have a time zone")
        if self.check_in.tzinfo is not None or self.check_out.tzinfo is not None:
            raise ValueError("check_in and check_out are of the hotel's wall clock, without a time zone")
        if any(not FIRST_YEAR <= at.year <= LAST_YEAR for at in (self.placed_at, self.check_in, self.check_out)):
            raise ValueError(f"only the years {FIRST_YEAR} to {LAST_YEAR} can be reckoned with")
        if self.check_out <= self.check_in or self.ends_at <= self.begins_at:
            raise ValueError("check_out must be after check_in")
        if self.policy.has_amounts and self.policy.currency != self.currency:
            raise ValueError(f"the policy's amounts are in {self.policy.currency}, and the booking in {self.currency}")

    @property
    def nights(self) -> int:
        """The nights of the stay; at least one."""
        return max((self.check_out.date() - self.check_in.date()).days, 1)

    @property
    def begins_at(self) -> datetime:
        """The instant of check-in, in UTC."""
        return _instant(self.check_in, self.time_zone)

    @property
    def ends_at(self) -> datetime:
        """The instant of check-out, in UTC."""
        return _instant(self.check_out, self.time_zone)

    def edge(self, rule: Rule) -> datetime:
        """Return the instant from which on a rule holds, in UTC."""
        if rule.hours is not None:
            return self.begins_at - timedelta(hours=rule.hours)
        return _instant(self.check_in - timedelta(days=rule.days or 0), self.time_zone)


@dataclass(frozen=True, slots=True)
class Charge:
    """What a cancel costs, and what it gives back: always all that was paid, in minor units."""

    fee: int
    refund: int
    #: Which rule said so: `free`, `free_window`, `non_refundable`, `no_show`, or `rule_1` for that of the first edge.
    rule: str
    #: One sentence for the guest.
    description: str


@dataclass(frozen=True, slots=True)
class Step:
    """A time in which a cancel costs the same, from `begins` until just before `ends`, in UTC; None is no end."""

    begins: datetime | None
    ends: datetime | None
    charge: Charge

    def local(self, time_zone: str) -> "Step":
        """Return the same as a wall clock in a time zone shows it.  Raises `ValueError` when there is no such zone."""
        zone = _zone(time_zone)
        begins, ends = (at and at.astimezone(zone) for at in (self.begins, self.ends))
        return Step(begins, ends, self.charge)


@dataclass(frozen=True, slots=True)
class _Claim:
    """A fee that is due from an instant on, whatever was paid; minor units."""

    since: datetime
    fee: int
    rule: str
    description: str


class CancellationCalculator:
    """Tells what it costs to take one booking back: of all fees whose edge has passed, the dearest.

    So nobody pays less for having waited, whatever a policy mixes; only the window after the booking is free.
    """

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._claims = tuple(_claims(terms))

    def calculate(self, at: datetime, paid: int) -> Charge:
        """Return what a cancel at an instant costs, `paid` in minor units; an edge just reached has passed.

        Raises `ValueError` for a `paid` below zero, or above any sum that is paid.
        """
        _within(totals.LIMIT, paid=paid)
        policy = self._terms.policy
        if policy.free_hours and at < self._free_until:
            window = _counted(policy.free_hours, "hour")
            return Charge(0, paid, "free_window", f"Cancellation less than {window} after booking: free of charge")
        most = min(paid, self._terms.total)  # more may be held, or was taken, than the booking costs
        if not policy.refundable:
            return Charge(most, paid - most, "non_refundable", "This booking is not refundable: its price is kept")
        claim = max((claim for claim in self._claims if claim.since <= at), key=lambda claim: claim.fee)
        fee = min(claim.fee, most)
        limit = f", but no more than {'was paid' if fee == paid else 'the price'}" if fee < claim.fee else ""
        return Charge(fee, paid - fee, claim.rule, claim.description + limit)

    def steps(self, paid: int) -> list[Step]:
        """Return the charges over time, each different from the one before; the first and the last have one end.

        Raises `ValueError` for a `paid` below zero, or above any sum that is paid.
        """
        edges = sorted({self._free_until, *(claim.since for claim in self._claims)})
        charges = [(edge, self.calculate(edge, paid)) for edge in edges]
        changes = [after for before, after in pairwise(charges) if before[1] != after[1]]
        begins = [None, *(edge for edge, _ in changes)]
        ends = [*begins[1:], None]
        found = [charges[0][1], *(charge for _, charge in changes)]
        return [Step(*step) for step in zip(begins, ends, found, strict=True)]

    @property
    def _free_until(self) -> datetime:
        return self._terms.placed_at.astimezone(UTC) + timedelta(hours=self._terms.policy.free_hours)


def _claims(terms: Terms) -> Iterator[_Claim]:
    """What may be asked for, from the earliest edge on: of equal fees the first is the reason."""
    policy = terms.policy
    yield _Claim(datetime.min.replace(tzinfo=UTC), 0, "free", "Cancellation is free of charge")
    for number, rule in enumerate(sorted(policy.rules, key=terms.edge), 1):
        yield _claim(terms, terms.edge(rule), rule.fee, f"rule_{number}", f"Cancellation {rule.words}")
    yield _claim(terms, terms.begins_at, policy.no_show, "no_show", "No-show, or cancellation after check-in")


def _claim(terms: Terms, since: datetime, fee: Fee, rule: str, when: str) -> _Claim:
    """A fee within the bounds of its policy, and why."""
    minimum, maximum = terms.policy.minimum, terms.policy.maximum
    asked = fee.of(terms.total, terms.nights)
    what = fee.words(terms.currency)
    if asked and minimum is not None and asked < minimum:
        asked, what = minimum, f"{what}, but at least {money.text(minimum, terms.currency)}"
    elif maximum is not None and asked > maximum:
        asked, what = maximum, f"{what}, but at most {money.text(maximum, terms.currency)}"
    return _Claim(since, asked, rule, f"{when}: {what}")


def _instant(wall: datetime, time_zone: str) -> datetime:
    """When a wall clock shows this, in UTC.

    What it shows twice, or never, in the night in which it is put back or forward, is the later of the two instants
    that can be meant (PEP 495): in favor of the guest.
    """
    zone = _zone(time_zone)
    return max(wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))


def _zone(name: str) -> ZoneInfo:
    # No place begins in lower case: `right/` counts leap seconds, and `localtime` is wherever the machine is.
    if not name[:1].isupper():
        raise ValueError("there is no such time zone")
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:  # not known; a folder of zones; a path
        raise ValueError("there is no such time zone") from error


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
