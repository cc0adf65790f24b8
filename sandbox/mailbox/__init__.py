"""A mailbox for the sandbox: a real SMTP server that delivers to nobody, and shows what it took.

smtp.py    the SMTP conversation: https://www.rfc-editor.org/rfc/rfc5321
store.py   SQLite: the newest messages, and the append-only ledger of every delivery
pages.py   the messages as JSON and HTML, and what a test may ask and tell
"""
