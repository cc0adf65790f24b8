"""Providers: one vendor a file behind `ports`.  A vendor's words stop at its file."""
