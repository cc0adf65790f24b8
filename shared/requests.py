"""What clients send us: the bodies of every route, checked for shape before anything is recorded.

Unknown members are refused, so that a misspelt one is not silently ignored.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, ClassVar

from msgspec import UNSET, Meta, Struct, UnsetType

from shared.domain.alerts import AlertState, DriftState
from shared.domain.orders import CancellationSource
from shared.domain.payments import Provider

#: Python's `$` also matches before a last newline, other engines' does not; this end means the same to all.
END = r"$(?!\n)"

#: An id that may stand in a URL and in a Message-ID as it is: words of letters, digits, _ and -, with dots between.
ID = r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*" + END
ID_LENGTH = 128

#: No order is older; nothing that a clock may show overflows from here on.
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)

Id = Annotated[str, Meta(pattern=ID, max_length=ID_LENGTH, description="letters, digits, _ and -, dots in between")]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}" + END, description="ISO 4217, upper case")]
#: Minor units; twelve digits keep sums far inside a bigint.
Minor = Annotated[int, Meta(ge=0, le=999_999_999_999, description="minor units of its currency")]
#: A decimal string, so that no float ever touches money.
Rate = Annotated[
    str,
    Meta(pattern=r"^(0(\.[0-9]{1,5})?|1(\.0{1,5})?)" + END, description='"0.10" is ten percent; at most five places'),
]
Text = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+" + END)]
Email = Annotated[
    str,
    Meta(
        max_length=254,
        pattern=r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*"
        + END,
    ),
]


class OrderLine(Struct, frozen=True, forbid_unknown_fields=True):
    """One line of an order."""

    sku: Id
    quantity: Annotated[int, Meta(ge=1, le=100_000)]
    unit_price: Minor
    tax_rate: Rate = "0"


class Address(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the goods go."""

    name: Text
    line1: Text
    city: Text
    postal_code: Text
    country: Annotated[str, Meta(pattern=r"^[A-Z]{2}" + END, description="ISO 3166-1 alpha-2")]
    line2: Text | None = None
    state: Text | None = None
    phone: Text | None = None


class StripePayment(Struct, frozen=True, forbid_unknown_fields=True, tag_field="provider", tag=str(Provider.STRIPE)):
    """Stripe holds the money, under a PaymentIntent's id."""

    reference: Id
    provider: ClassVar[Provider] = Provider.STRIPE


class RazorpayPayment(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="provider", tag=str(Provider.RAZORPAY)
):
    """Razorpay holds the money, under a payment's id."""

    reference: Id
    provider: ClassVar[Provider] = Provider.RAZORPAY


class CashOnDelivery(Struct, frozen=True, forbid_unknown_fields=True, tag_field="provider", tag=str(Provider.COD)):
    """The courier takes the money; nobody holds any."""

    reference: None = None
    provider: ClassVar[Provider] = Provider.COD


class NoPayment(Struct, frozen=True, forbid_unknown_fields=True, tag_field="provider", tag=str(Provider.NONE)):
    """There is nothing to pay."""

    reference: None = None
    provider: ClassVar[Provider] = Provider.NONE


class Shipment(Struct, frozen=True, forbid_unknown_fields=True):
    """Who carries the goods; also `PUT /orders/{id}/shipment`, once that is known."""

    courier: Text
    awb: Id


class Registration(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /orders`: what was bought."""

    currency: Currency
    email: Email
    lines: Annotated[list[OrderLine], Meta(min_length=1, max_length=200)]
    payment: StripePayment | RazorpayPayment | CashOnDelivery | NoPayment
    order_id: Id | None = None
    customer_id: Id | None = None
    shipping: Minor = 0
    address: Address | None = None
    shipment: Shipment | None = None
    placed_at: Annotated[datetime, Meta(tz=True, description="starts the grace period; not before 2000")] | None = None

    def __post_init__(self) -> None:
        if self.placed_at is not None and self.placed_at < EPOCH:
            raise ValueError("placed_at lies before 2000")


class UnitPrice(Struct, frozen=True, forbid_unknown_fields=True):
    """What one unit costs before tax."""

    amount: Minor
    currency: Currency


class StockLevel(Struct, frozen=True, forbid_unknown_fields=True):
    """`PUT /stock/{sku}`: the units that can be sold, not counting those of registered orders.

    A SKU without a price can be sold, but not be added to an order that is registered; a price stays until the next.
    """

    quantity: Annotated[int, Meta(ge=0, le=1_000_000_000)]
    price: UnitPrice | None = None
    tax_rate: Rate = "0"


class NewItem(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /store/orders/{id}/items`: units of a SKU are added."""

    sku: Id
    quantity: Annotated[int, Meta(ge=1, le=100_000)]


class ItemQuantity(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /store/orders/{id}/items/{item_id}`: a line has so many units from now on; with 0 it is removed."""

    quantity: Annotated[int, Meta(ge=0, le=100_000)]


class EditAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """The query of every edit: whether only to tell what it would come to."""

    dry_run: bool = False


class ItemChange(Struct, frozen=True):
    """The same, with the line that its path names."""

    line: int
    quantity: int


#: A string that is an amount of money: digits and a point, nothing else that Python takes for a number.
PLAIN = r"^[0-9]{1,12}(\.[0-9]{1,3})?" + END

#: A decimal number in major units, as a JSON number or string; read as it is written, so that no float touches it.
Major = Annotated[
    Decimal,
    Meta(
        description="major units, 1500.00; no more places than the currency has",
        extra_json_schema={
            "type": ["number", "string"],
            "format": "decimal",
            "pattern": PLAIN,
            "exclusiveMinimum": 0,
            "maximum": 999_999_999_999,
        },
    ),
]

#: Digits before and after the point, of any amount in any currency.
MAJOR_DIGITS, MINOR_DIGITS = 12, 3


class OrderCancellation(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`POST /api/admin/orders/{id}/cancel`: an operator takes an order back, and gives its money back."""

    reason: Text | None = None
    skip_refund: bool = False


class Refund(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`POST /api/admin/orders/{id}/refund`: an operator gives money back; all of it, when no amount is named."""

    amount: Major | None = None
    reason: Text | None = None
    deduct_shipping: bool = False

    def __post_init__(self) -> None:
        if self.amount is None:
            return
        exponent = self.amount.as_tuple().exponent
        if not isinstance(exponent, int) or self.amount <= 0:
            raise ValueError("amount must be a number above zero")
        if self.amount.adjusted() >= MAJOR_DIGITS or -exponent > MINOR_DIGITS:
            raise ValueError("amount has more digits than any currency needs")
        if self.deduct_shipping:
            raise ValueError("amount and deductShipping exclude each other")


class BulkSync(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /api/admin/orders/bulk-sync-delhivery`: those shipments are looked up that were not for longest."""

    limit: Annotated[int, Meta(ge=1, le=5000)] = 100


class CourierCancellation(Struct, frozen=True):
    """What the mesh asks of itself when tracking shows that a parcel is canceled, or on its way back."""

    shipment_id: str
    source: CancellationSource
    before_pickup: bool
    reason: str


class Retry(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /api/admin/intents/{id}/retry`: an operator puts back to work what is parked."""

    reason: Text


#: How many of a list are shown at once.
Limit = Annotated[int, Meta(ge=1, le=200)]


class AlertsAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """The query of `GET /api/admin/alerts`; `before` is the `next` of the page before."""

    state: AlertState | UnsetType = UNSET
    before: Id | UnsetType = UNSET
    limit: Limit = 50


class DriftAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """The query of `GET /api/admin/drift`; `before` is the `next` of the page before."""

    state: DriftState = DriftState.OPEN
    before: Id | UnsetType = UNSET
    limit: Limit = 50


class Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    """A body without members, or no body at all."""
