"""The wiring of a worker process: its connections to the world, made once."""

from functools import cache

from shared import settings
from shared.db import Database
from shared.domain.payments import Provider
from shared.domain.shipments import Courier
from shared.providers.couriers import CourierService
from shared.providers.delhivery import Delhivery
from shared.providers.mail import Mailer
from shared.providers.ports import PaymentProvider
from shared.providers.razorpay import Razorpay
from shared.providers.stripe import Stripe
from shared.settings import Settings

#: Connections that are kept open to one provider: above the greenlets of any group.
CONNECTIONS = 100


class Mesh:
    """What one worker process holds: connections to the world, made once."""

    def __init__(self, configuration: Settings) -> None:
        self.settings = configuration
        self.database = Database(configuration.database_url, configuration.database_pool)
        self.mailer = Mailer(
            configuration.smtp_host,
            configuration.smtp_port,
            start_tls=configuration.smtp_start_tls,
            login=(configuration.smtp_username, configuration.smtp_password) if configuration.smtp_username else None,
            timeout=configuration.smtp_timeout,
            sender=configuration.mail_from,
        )
        timeout = (configuration.provider_connect_timeout, configuration.provider_read_timeout)
        self.providers: dict[Provider, PaymentProvider] = {
            Provider.STRIPE: Stripe(
                configuration.stripe_api_key, configuration.stripe_api_base, timeout, CONNECTIONS
            ),
            Provider.RAZORPAY: Razorpay(
                configuration.razorpay_key_id,
                configuration.razorpay_key_secret,
                configuration.razorpay_api_base,
                timeout,
                CONNECTIONS,
                configuration.razorpay_hold_lifetime,
            ),
        }
        self.couriers: dict[Courier, CourierService] = {
            Courier.DELHIVERY: Delhivery(
                configuration.delhivery_api_key, configuration.delhivery_api_base, timeout, CONNECTIONS
            )
        }


@cache
def mesh() -> Mesh:
    """Return this process's wiring.  Nothing connects before it is first used, so a fork does no harm."""
    return Mesh(settings.load())
