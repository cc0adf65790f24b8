"""A strict stand-in for QPay's merchant API, version 2 (Mongolia): invoices that a shopper's bank app pays.

It speaks the wire format of merchant.qpay.mn, refuses what QPay refuses, calls back as QPay does, without a signature,
and writes every effect into its own append-only ledger.  As at QPay there are no idempotency keys, and the same
`sender_invoice_no` twice makes two invoices.  Where QPay's behavior is not documented, the stricter reading is taken.

    api.py        the way of a request: token, fault, latency, effect, answer
    endpoints.py  every route, who may call it, and the fields of its body
    fields.py     what a field may hold, and what QPay says when it holds something else
    refusals.py   QPay's errors, in QPay's shapes
    call.py       one request being carried out
    tokens.py     access and refresh tokens, which end at an absolute time
    objects.py    invoice and payment as they look on the wire
    qr.py         the QR code of an invoice: its text, its picture, its links to banks' apps
    invoices.py   the rules of making, reading and canceling invoices
    payments.py   the rules of paying, looking, giving back and settling
    callbacks.py  the calls to a merchant's callback_url
    store.py      SQLite: the objects, the ledger, the requests, the callbacks, the tokens
    control.py    what a test may ask and tell under /_sandbox/
"""
