"""Alerts and drift: how far what a person must look at has come."""

from enum import StrEnum


class AlertState(StrEnum):
    """How far an alert has come."""

    OPEN = "open"  # nobody has said that they look at it
    ACKNOWLEDGED = "acknowledged"  # somebody looks at it, and its cause is still there
    RESOLVED = "resolved"  # its cause went away


class DriftState(StrEnum):
    """Whether our rows and the provider still disagree."""

    OPEN = "open"
    RESOLVED = "resolved"
