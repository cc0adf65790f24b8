"""Policies: what it costs to take a booking back."""

from collections.abc import Iterable

import falcon
import msgspec

from gateway import bodies
from gateway.auth import Authenticator
from gateway.errors import render
from gateway.intake import Intake
from gateway.pages.steps import step_chart
from shared.booking_requests import CancellationPolicy, PolicyPreview, PreviewAsked
from shared.domain.intents import Operation
from shared.domain.policies import CancellationCalculator, Step
from shared.settings import Settings
from shared.tokens import Role

SVG = "image/svg+xml"


class Policy:
    """`PUT /policies/{policy_id}`: what it costs to take back a booking that is made from now on."""

    def __init__(self, settings: Settings, auth: Authenticator, intake: Intake) -> None:
        self._settings, self._auth, self._intake = settings, auth, intake

    def on_put(self, request: falcon.Request, response: falcon.Response, policy_id: str) -> None:
        """Set a policy; bookings keep the version that they were made under."""
        caller = self._auth.caller(request)
        caller.allow(Role.SERVICE)
        policy_id = bodies.path_id(policy_id)
        body = bodies.read(request, CancellationPolicy, self._settings.body_limit, required=True)
        self._intake.submit(
            request, response, operation=Operation.SET_POLICY, subject=policy_id, caller=caller, body=body
        )


class Preview:
    """`POST /policies/preview`: what a policy would mean to a booking.  It is reckoned, and nothing is recorded."""

    def __init__(self, settings: Settings, auth: Authenticator) -> None:
        self._settings, self._auth = settings, auth

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Tell what a cancel would cost over time, as JSON or as a picture."""
        self._auth.caller(request).allow(Role.SERVICE, Role.ADMIN)
        asked = bodies.query(request, PreviewAsked)
        body = bodies.read(request, PolicyPreview, self._settings.body_limit)
        terms = body.terms()
        paid = terms.total if body.paid is None else body.paid
        steps = CancellationCalculator(terms).steps(paid)
        response.append_header("Vary", "Accept")
        if _wants_picture(request, asked):
            response.content_type = SVG
            response.text = step_chart([step.local(terms.time_zone) for step in steps], terms.currency, None)
        else:
            render(response, 200, _previewed(steps, terms.currency, paid))


def _wants_picture(request: falcon.Request, asked: PreviewAsked) -> bool:
    """Whether it is to be an SVG: the query says so, else `Accept`; JSON, where both are welcome."""
    if asked.format:
        return asked.format == "svg"
    return request.client_prefers((falcon.MEDIA_JSON, SVG)) == SVG


def _previewed(steps: Iterable[Step], currency: str, paid: int) -> str:
    """The body of a preview: times in UTC, null for ever; amounts in minor units."""
    found = [
        {
            "from": step.begins,
            "until": step.ends,
            "fee": step.charge.fee,
            "refund": step.charge.refund,
            "rule": step.charge.rule,
            "description": step.charge.description,
        }
        for step in steps
    ]
    return msgspec.json.encode({"currency": currency, "paid": paid, "steps": found}).decode()
