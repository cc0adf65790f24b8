"""Identifiers: unique, sortable by birth, and fit to stand in a URL."""

import re
import time

import pytest

from shared import ids
from shared.ids import new_id
from shared.requests import ID


def test_ids_are_unique() -> None:
    assert len({new_id("int") for _ in range(10_000)}) == 10_000


def test_ids_sort_by_the_time_of_their_birth(monkeypatch: pytest.MonkeyPatch) -> None:
    births = [0, 1, 31, 32, 1_000_000, 1_700_000_000_000, 1_700_000_000_001, 2**48 - 1]
    born = []
    for milliseconds in births:
        monkeypatch.setattr(time, "time_ns", lambda now=milliseconds: now * 1_000_000)
        born.append(new_id("ord"))
    assert born == sorted(born)


def test_an_id_names_its_noun_and_fits_where_ids_stand() -> None:
    identifier = new_id("void")
    assert re.fullmatch(r"void_[0-9abcdefghjkmnpqrstvwxyz]{26}", identifier)
    assert re.fullmatch(ID, identifier)


def test_ids_of_one_millisecond_differ_in_eighty_random_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def randbits(bits: int) -> int:
        asked.append(bits)
        return 0

    monkeypatch.setattr(ids.secrets, "randbits", randbits)
    new_id("int")
    assert asked == [80]
