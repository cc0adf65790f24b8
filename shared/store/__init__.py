"""Rows, locks and queries.  Store functions take a connection inside a transaction, and never commit.

Lock order, always: order, then payment, then the rest by primary key; see docs/locking.md.
"""
