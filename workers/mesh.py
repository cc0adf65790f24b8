"""The wiring of a worker process: its connections to the world, made once."""

from functools import cache

from shared import settings
from shared.db import Database
from shared.domain.payments import Provider
from shared.providers.mail import Mailer
from shared.providers.ports import PaymentProvider
from shared.providers.stripe import Stripe
from shared.settings import Settings


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
        self.providers: dict[Provider, PaymentProvider] = {
            Provider.STRIPE: Stripe(
                configuration.stripe_api_key,
                configuration.stripe_api_base,
                (configuration.provider_connect_timeout, configuration.provider_read_timeout),
                connections=100,  # above the greenlets of any group
            )
        }


@cache
def mesh() -> Mesh:
    """Return this process's wiring.  Nothing connects before it is first used, so a fork does no harm."""
    return Mesh(settings.load())
