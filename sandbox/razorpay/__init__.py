"""A strict stand-in for Razorpay's API, made for one account in test mode.

It speaks the wire format closely enough that razorpay-python 2 cannot tell, refuses what Razorpay refuses, and
writes every effect into its own append-only ledger.  Where Razorpay's behavior is not documented, the stricter
reading is taken.  As at Razorpay, no call releases a hold: it lapses, which a test orders under /_sandbox/.

    api.py        the way of a request: route, credentials, key, faults, latency, idempotency, answer
    endpoints.py  every route, with its parameters and their checks
    refusals.py   Razorpay's errors, in Razorpay's shape
    call.py       one request being carried out
    objects.py    payment, refund and event as they look on the wire
    payments.py   the rules of authorizing, capturing and reading payments
    refunds.py    the rules of giving money back
    webhooks.py   the signed delivery of events, at least once
    store.py      SQLite: the objects, the ledger, the requests, the idempotency keys, the owed events
    control.py    what a test may ask and tell under /_sandbox/
"""
