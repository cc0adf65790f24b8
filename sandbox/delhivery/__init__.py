"""A strict stand-in for Delhivery's B2C API: tracking, canceling, and the push of scans.

It speaks the wire format of track.delhivery.com, refuses what Delhivery refuses, lags behind an accepted cancel as
Delhivery does, and writes every effect into its own append-only ledger.  Where Delhivery's behaviour is not
documented, the stricter reading is taken.

    api.py        the way of a request: firewall, token, faults, latency, answer
    call.py       one request being carried out
    answers.py    the forms of an answer: JSON, XML, and the pages of those who stand in front
    throttle.py   how many requests the firewall lets in
    shipments.py  shipments, scans, and Delhivery's rules as tables
    scanning.py   what happens to a parcel
    tracking.py   where parcels are, as it looks on the wire
    canceling.py  taking a shipment back
    lag.py        what an accepted cancel brings about, later
    push.py       the delivery of scans to a webhook, with one retry
    store.py      SQLite: the shipments, the ledger, the requests, the pushes
    control.py    what a test may ask and tell under /_sandbox/
"""
