"""Benchmarks: what one cancel costs, beside peers that do less, in one run on one machine.

    python -m benchmarks --help

Every figure that matters is a ratio: this machine's noise meets both sides, since peers take turns within each round.
"""
