"""A server that says anything, and what Stripe says."""

from typing import Any
from urllib.parse import parse_qs

from tests.unit import answering


class Server(answering.Server):
    """Asked with forms, as Stripe is."""

    body_name = "form"

    def read(self, body: bytes) -> dict[str, str]:
        """The members of the form."""
        return {name: values[0] for name, values in parse_qs(body.decode()).items()}

    def complain(self, status: int, **error: Any) -> None:
        """Answer the next request with an error in Stripe's form."""
        self.say(status, {"error": {"message": "Ann Smith's card, 4242...", **error}})


def intent(status: str, amount: int = 3800, capturable: int = 0, received: int = 0, **more: Any) -> dict[str, Any]:
    """A PaymentIntent as Stripe shows it."""
    return {
        "id": "pi_1",
        "object": "payment_intent",
        "status": status,
        "amount": amount,
        "amount_capturable": capturable,
        "amount_received": received,
        "currency": "usd",
        "latest_charge": None,
    } | more
