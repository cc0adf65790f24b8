"""Tests mirror the tree: unit, integration, acceptance, faults.  A test's name is the sentence it proves."""
