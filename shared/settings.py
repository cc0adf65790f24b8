"""Every setting of the mesh, read once from the environment and passed in.

A setting `database_url` is read from `COUNTERMAND_DATABASE_URL`.  This is the only file that reads the environment.
"""

import os
from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import msgspec

from shared.domain.edits import Unavailable

PREFIX = "COUNTERMAND_"
LOOPBACK = ("127.0.0.1", "::1", "localhost")

Positive = Annotated[float, msgspec.Meta(gt=0)]
Rate = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Keys = Annotated[dict[str, str], msgspec.Meta(min_length=1)]
#: Separated by commas.
Secrets = tuple[str, ...]
Cron = Annotated[str, msgspec.Meta(pattern=r"^[0-9*/,-]+( [A-Za-z0-9*/,-]+){4}$")]


class SettingsError(Exception):
    """The environment does not make a usable configuration; the message says how to mend it."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration of one process; times are seconds unless the name says otherwise."""

    database_url: str
    broker_url: str
    profile: Literal["embedded", "production"] = "production"

    #: Signing keys by `kid`; the first one signs, all of them verify, so that keys can be rotated.
    jwt_keys: Keys
    jwt_algorithm: Literal["HS256", "RS256"] = "HS256"

    stripe_api_key: str = ""
    #: Empty means Stripe itself.
    stripe_api_base: str = ""
    #: Signing secrets of the webhook endpoint, separated by commas: two while one is rolled.  Without one, every
    #: webhook is refused.
    stripe_webhook_secrets: Secrets = ()
    #: How far the time in a webhook's signature may lie from ours, either way (five minutes at Stripe).
    stripe_webhook_tolerance: Positive = 300.0
    razorpay_key_id: str = ""
    razorpay_key_secret: str = ""
    #: Empty means Razorpay itself.
    razorpay_api_base: str = ""
    #: Secrets of the webhook, separated by commas: two while one is changed.  Without one, every webhook is refused.
    razorpay_webhook_secrets: Secrets = ()
    #: After how long an authorized payment that nobody captured is refunded by Razorpay itself; set in its dashboard.
    razorpay_hold_lifetime: Positive = 3 * 86400.0

    delhivery_api_key: str = ""
    #: Empty means Delhivery itself.
    delhivery_api_base: str = ""
    #: What the webhook carries in `X-Delhivery-Secret`, separated by commas: two while one is changed.  Without one,
    #: every webhook is refused.
    delhivery_webhook_secrets: Secrets = ()
    #: Requests a second at the most, of all processes together; Delhivery allows 750 in five minutes.
    delhivery_rate: Rate = 2.0
    #: How long tracking lags: when a parcel is looked at first after its registration, and again after Delhivery has
    #: accepted a cancel, or hinted at one.
    delhivery_confirm_after: Positive = 120.0
    delhivery_auto_sync_enabled: bool = True
    #: When beat has the shipments looked up that were not for longest: minute, hour, day, month, weekday, in UTC.
    delhivery_sync_cron: Cron = "0 */6 * * *"
    #: How many shipments one such sync looks up.
    delhivery_sync_limit: Annotated[int, msgspec.Meta(ge=1, le=5000)] = 100
    #: For how long after its registration a parcel is looked up by syncs; one that is lost has no end by itself.
    delhivery_sync_window: Positive = 90 * 86400.0
    #: How often a batch of a sync is tried before it is reported as failed; the next sync begins with its shipments.
    delhivery_batch_attempts: Count = 5

    #: Whether the shipping is kept when the courier had the parcel already.
    deduct_shipping_after_pickup: bool = True

    #: Waiting longer than three seconds for a TCP handshake never helped.
    provider_connect_timeout: Positive = 3.05
    #: Shorter than the gateway's wait, so that a void that gets no answer is still reported to the shopper.
    provider_read_timeout: Positive = 8.0

    #: How long an idempotency key surely means the same operation to the provider; after that, what became of it is
    #: read back.  Stripe forgets a key after 24 hours at the earliest.
    provider_key_lifetime: Positive = 72000.0

    smtp_host: str = "127.0.0.1"
    smtp_port: int = 25
    smtp_start_tls: bool = True
    #: Empty: the server wants no login.
    smtp_username: str = ""
    #: Sent only after `smtp_username`, and only over TLS beyond loopback.
    smtp_password: str = ""
    smtp_timeout: Positive = 10.0
    mail_from: str = "Countermand <orders@countermand.example>"
    #: Who hears by mail of a refund that failed; empty: nobody, there is the alert.
    admin_email: str = ""

    #: How long a shopper may take an order back (one hour in the client contract).
    grace_period: Positive = 3600.0
    #: How long the shopper's token outlives the grace period, so that a late cancel is told why.
    modification_token_leeway: Positive = 86400.0

    #: A capture begins this long before its authorization lapses, at the latest: time enough for a person to step in.
    capture_margin: Positive = 3600.0
    #: The least time between a refund that failed and the next attempt.
    refund_cooldown: Positive = 3600.0

    #: How often a hold that can only lapse is looked at, beside what its provider tells us.
    lapse_watch: Positive = 3600.0

    #: How long what a guest was shown is what a cancellation costs.
    quote_validity: Positive = 600.0
    #: How long after a stay the link to it opens, unless the hotel says otherwise.
    guest_token_leeway: Positive = 30 * 86400.0

    #: What is done when an edit costs more than is held and the hold cannot be raised: `refuse`, or have the rest held
    #: by a `second_payment` on the card that the customer saved.
    increment_unavailable: Unavailable = Unavailable.REFUSE

    #: How long the gateway waits for an outcome before it answers 202.
    wait: Positive = 10.0
    #: The longest wait that a client may ask for with `Prefer: wait=N`.
    wait_limit: Positive = 60.0
    #: Bodies above this many bytes are refused.
    body_limit: Count = 64 * 1024
    #: The same for webhooks, which carry an object with all that the shop wrote into its metadata.
    webhook_body_limit: Count = 256 * 1024
    gateway_processes: Count = 1

    #: How often beat stages comparisons of payments with their provider.
    reconcile_every: Positive = 60.0
    #: How many payments are compared a second at the most; an account's limit at Stripe is a hundred reads.
    reconcile_rate: Rate = 5.0
    #: How long until a payment is compared for the first time, and again while its money may still move.
    reconcile_after: Positive = 3600.0
    #: How long after its money has moved a payment at rest is still compared, ever more rarely: refunds fail within a
    #: month.
    reconcile_window: Positive = 60 * 86400.0

    #: How long a published message may stay without effect before the sweep publishes it again.
    patience: Positive = 30.0
    #: How often beat sweeps the outbox for what is due: captures, retries, and messages out of patience.
    sweep_every: Positive = 5.0
    #: First pause after an unknown outcome; doubled up to `retry_ceiling` with jitter.
    retry_base: Positive = 2.0
    retry_ceiling: Positive = 900.0
    #: About two days of retries at the ceiling; then a person decides.
    retry_limit: Count = 200
    #: How often a task may break (an exception nobody foresaw) before it is parked.
    breakage_limit: Count = 10

    #: Connections a process may hold.  Transactions last milliseconds and a process has one core: more would only be
    #: colder.
    database_pool: Count = 8


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.  Raises `SettingsError` naming the variable that is missing or malformed."""
    values: dict[str, object] = {}
    for field in msgspec.structs.fields(Settings):
        raw = environ.get(PREFIX + field.name.upper())
        if raw is not None:
            values[field.name] = PARSERS.get(field.name, str)(raw)
    try:
        settings = msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{error}; settings are {PREFIX}<NAME> environment variables") from None
    if not settings.smtp_start_tls and settings.smtp_host not in LOOPBACK:
        raise SettingsError(f"mail to {settings.smtp_host} would go unencrypted; set {PREFIX}SMTP_START_TLS=true")
    return settings


def _parse_secrets(raw: str) -> object:
    return [secret.strip() for secret in raw.split(",") if secret.strip()]


def _parse_keys(raw: str) -> object:
    try:
        return msgspec.json.decode(raw, type=dict[str, str])
    except msgspec.DecodeError:
        raise SettingsError(f"{PREFIX}JWT_KEYS must be a JSON object of kid to secret") from None


PARSERS: Mapping[str, Callable[[str], object]] = {
    "jwt_keys": _parse_keys,
    "stripe_webhook_secrets": _parse_secrets,
    "razorpay_webhook_secrets": _parse_secrets,
    "delhivery_webhook_secrets": _parse_secrets,
}
