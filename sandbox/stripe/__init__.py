"""A strict stand-in for Stripe's API, made for one account in test mode.

It speaks the wire format of API version 2026-10-28.endive closely enough that stripe-python 16 cannot
tell, refuses what Stripe refuses, keeps idempotency keys as Stripe does, and writes every effect into its
own append-only ledger.  Where Stripe's behaviour is not documented, the stricter reading is taken.

    api.py          the way of a request: route, key, faults, latency, idempotency, answer
    endpoints.py    every route, with its parameters
    parameters.py   form bodies, and the checks of each endpoint's parameters
    amounts.py      currencies, and how little and how much is charged
    refusals.py     Stripe's errors, in Stripe's shape
    call.py         one request being carried out
    objects.py      PaymentIntent, Charge, Refund, Dispute and Event as they look on the wire
    creating.py     the rules of making a PaymentIntent
    authorizing.py  the rules of confirming one
    holding.py      the rules of capturing, canceling, incrementing and expiring what is held
    refunds.py      the rules of giving captured money back
    disputes.py     the rules of a cardholder's claim against captured money
    reading.py      retrieving, listing and expanding
    webhooks.py     the signed delivery of events, at least once
    store.py        SQLite: the objects, the events, the ledger, the requests, the idempotency keys
    control.py      what a test may ask and tell under /_sandbox/
"""
