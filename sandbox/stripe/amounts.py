"""The currencies Stripe charges in, how little and how much: https://docs.stripe.com/currencies."""

from __future__ import annotations

from sandbox.stripe.refusals import Refusal


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: The currencies Stripe charges in.
CURRENCIES = _words(
    "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd cad cdf "
    "chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl hrk htg "
    "huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt "
    "mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar "
    "sbd scr sek sgd shp sle sos srd std szl thb tjs tnd top try ttd twd tzs uah ugx uyu uzs vnd vuv wst xaf xcd "
    "xof xpf yer zar zmw"
)
#: The least Stripe charges, in minor units: https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts.
SMALLEST_CHARGE = {
    "usd": 50, "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250,
    "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200, "nok": 300,
    "nzd": 50, "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000,
}  # fmt: skip
LARGEST_CHARGE = 99_999_999
#: Currencies without a minor unit: https://docs.stripe.com/currencies#zero-decimal.
ZERO_DECIMAL = _words("bif clp djf gnf jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof xpf")


def money(amount: int, code: str) -> str:
    """An amount as Stripe's messages print it: "$10.00" for dollars, "10.00 eur" or "1000 jpy" otherwise."""
    major = str(amount) if code in ZERO_DECIMAL else f"{amount // 100:,}.{amount % 100:02d}"
    return f"${major}" if code == "usd" else f"{major} {code}"


def refuse_amount(amount: int, currency: str, param: str) -> None:
    """Raise when Stripe does not charge so little, or so much."""
    least = SMALLEST_CHARGE.get(currency, 1)
    if amount < least:
        message = f"Amount must be at least {money(least, currency)}"
        raise Refusal(400, message, code="amount_too_small", param=param)
    if amount > LARGEST_CHARGE:
        message = f"Amount must be no more than {money(LARGEST_CHARGE, currency)}"
        raise Refusal(400, message, code="amount_too_large", param=param)
