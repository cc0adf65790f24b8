"""Money: integers of minor units with an ISO 4217 currency; Decimal where a rate is applied; never a float."""

from decimal import ROUND_HALF_UP, Decimal

#: Currencies whose minor unit is not a hundredth (ISO 4217).
_DECIMALS = {
    **dict.fromkeys(
        (
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ),
        0,
    ),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}


def decimals(currency: str) -> int:
    """Return how many decimal places the currency's minor unit has, e.g. 2 for USD, 0 for JPY, 3 for KWD."""
    return _DECIMALS.get(currency, 2)


def taxed(amount: int, rate: Decimal) -> int:
    """Return `amount` (minor units) with tax at `rate` (0.10 is ten percent) added, rounded half up."""
    return rounded(amount * (1 + rate))


def rounded(amount: Decimal) -> int:
    """Return a fraction of minor units as a whole number of them, a half rounded up."""
    return int(amount.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def text(amount: int, currency: str) -> str:
    """Return minor units for people to read, e.g. `1,234.50 USD` or `1,500 JPY`."""
    places = decimals(currency)
    return f"{Decimal(amount).scaleb(-places):,.{places}f} {currency}"


def major(amount: int, currency: str) -> Decimal:
    """Return minor units as a decimal number of the currency, with all its places, e.g. 1500.00."""
    return Decimal(amount).scaleb(-decimals(currency))


def plain(amount: int, currency: str) -> str:
    """Return minor units as a decimal number for machines to read, e.g. `1500.00`."""
    return f"{major(amount, currency):f}"


def minor(amount: Decimal, currency: str) -> int:
    """Return a decimal number of the currency in minor units.

    Raises `ValueError` when it has more places than the currency.
    """
    exponent = amount.as_tuple().exponent
    if not isinstance(exponent, int) or -exponent > decimals(currency):
        raise ValueError(f"{currency} has {decimals(currency)} decimal places")
    return int(amount.scaleb(decimals(currency)))
