"""The gateway's application: every route, wired to what it needs."""

from typing import Any

import falcon

from gateway import errors, openapi
from gateway.auth import Authenticator
from gateway.guests import Guests
from gateway.intake import Intake
from gateway.metrics import Measure
from gateway.resources import operators
from gateway.resources.alerts import Alerts, Drift
from gateway.resources.bookings import Approval, BookingRegistrations, GuestBooking, GuestLinks
from gateway.resources.edits import Address, Item, Items
from gateway.resources.intents import Intent
from gateway.resources.operations import Health, Metrics, OpenApi, Readiness
from gateway.resources.orders import Cancellation, Order, Registrations, Shipment
from gateway.resources.policies import Policy, Preview
from gateway.resources.stock import Stock
from gateway.resources.webhooks import CourierPushes, ProviderWebhooks, razorpay, stripe
from gateway.waiting import Doorbell
from shared.broker import Publisher
from shared.db import Database
from shared.domain.payments import Provider
from shared.settings import Settings


def create_app(
    settings: Settings, database: Database, publisher: Publisher, doorbell: Doorbell
) -> falcon.App[Any, Any]:
    """Return the WSGI application."""
    auth = Authenticator(settings)
    intake = Intake(settings, database, publisher, doorbell)
    app = falcon.App(middleware=[Measure()])
    errors.install(app)
    app.add_route("/orders", Registrations(settings, auth, intake))
    app.add_route("/orders/{order_id}", Order(auth, database))
    app.add_route("/orders/{order_id}/shipment", Shipment(settings, auth, intake))
    app.add_route("/store/orders/{order_id}/cancel", Cancellation(settings, auth, intake))
    app.add_route("/store/orders/{order_id}/items", Items(settings, auth, database, intake))
    app.add_route("/store/orders/{order_id}/items/{item_id}", Item(settings, auth, database, intake))
    app.add_route("/store/orders/{order_id}/address", Address(settings, auth, database, intake))
    for path, operation, body in operators.ROUTES:
        app.add_route(path, operators.ByOperator(settings, auth, intake, operation, body))
    guests = Guests(settings, database)
    app.add_route("/policies/{policy_id}", Policy(settings, auth, intake))
    app.add_route("/bookings", BookingRegistrations(settings, auth, guests, intake))
    app.add_route("/bookings/{booking_id}/tokens", GuestLinks(settings, auth, guests, intake))
    app.add_route("/bookings/{booking_id}/approve", Approval(settings, auth, intake))
    guest_booking = GuestBooking(settings, guests, database, intake)
    app.add_route("/hotels/{slug}/bookings/{booking_id}", guest_booking)
    app.add_route("/hotels/{slug}/bookings/{booking_id}/cancel", guest_booking, suffix="cancel")
    app.add_route("/stock/{sku}", Stock(settings, auth, database, intake))
    app.add_route("/policies/preview", Preview(settings, auth))
    app.add_route("/intents/{intent_id}", Intent(settings, auth, guests, database))
    app.add_route("/api/admin/alerts", Alerts(auth, database))
    app.add_route("/api/admin/drift", Drift(auth, database))
    app.add_route("/webhooks/stripe", ProviderWebhooks(settings, database, publisher, Provider.STRIPE, stripe))
    app.add_route("/webhooks/razorpay", ProviderWebhooks(settings, database, publisher, Provider.RAZORPAY, razorpay))
    app.add_route("/api/shipping/delhivery/webhook", CourierPushes(settings, database, publisher))
    app.add_route("/healthz", Health())
    app.add_route("/readyz", Readiness(database))
    app.add_route("/metrics", Metrics(doorbell, database))
    app.add_route("/openapi.json", OpenApi(openapi.document()))
    return app
