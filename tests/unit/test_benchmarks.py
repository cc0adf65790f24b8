"""The parts of the benchmarks that could be wrong without anybody seeing it."""

import msgspec
import pytest

from benchmarks import statements
from benchmarks.books import Violated, once_each
from benchmarks.orders import Purchase
from benchmarks.parcels import waybill
from benchmarks.pgbench import script
from benchmarks.recording import Statement, transactions
from benchmarks.report import Table, figure, percentile
from sandbox.delhivery.control import Waybill
from shared.ids import new_id

LOG = """\
2026-01-01 00:00:00.000 UTC [7] LOG:  execute _pg3_0: WITH a AS (SELECT $1)
\tSELECT * FROM a
2026-01-01 00:00:00.001 UTC [7] DETAIL:  Parameters: $1 = 'it''s', $2 = NULL
2026-01-01 00:00:00.002 UTC [8] LOG:  statement: BEGIN
2026-01-01 00:00:00.003 UTC [7] LOG:  duration: 3.1 ms
2026-01-01 00:00:00.004 UTC [9] LOG:  execute <unnamed>: SELECT 2
2026-01-01 00:00:00.005 UTC [8] LOG:  execute _pg3_1: UPDATE b SET c = $1
2026-01-01 00:00:00.006 UTC [8] DETAIL:  Parameters: $1 = '{1,2}'
2026-01-01 00:00:00.007 UTC [8] LOG:  statement: COMMIT
"""


def test_statements_of_one_backend_from_begin_to_commit_are_one_transaction() -> None:
    assert transactions(LOG) == [
        [Statement(7, "WITH a AS (SELECT $1)\nSELECT * FROM a", {1: "it's", 2: None})],
        [Statement(8, "BEGIN", {}), Statement(8, "UPDATE b SET c = $1", {1: "{1,2}"}), Statement(8, "COMMIT", {})],
        [Statement(9, "SELECT 2", {})],
    ]


def test_only_what_frames_a_transaction_does_not_count() -> None:
    frames = [each.is_frame for group in transactions(LOG) for each in group]
    assert frames == [False, True, False, True, False]
    assert statements.count(transactions(LOG)) == 3


def test_every_order_of_a_round_has_a_waybill_of_its_own_that_delhivery_takes() -> None:
    name = new_id("b").removeprefix("b_")
    waybills = {waybill(Purchase(f"ord_{name}_{number}", "")) for number in range(10_000)}
    assert len(waybills) == 10_000
    msgspec.convert(waybills, set[Waybill])


@pytest.mark.parametrize(
    ("value", "expression"),
    [
        (None, "NULL"),
        ("it's", "E'it''s'"),
        ('{"at":now}', r"""E'{"at"\x3anow}'"""),
        ("int_01m7z1dj3zysqzdw2sk7g9cb4b", "(E'int_@name@_' || CAST(:n AS text) || E'')"),
        ("{ord_01m7z1dj3zysqzdw2sk7g9cb4b_3}", "(E'{ord_@name@_' || CAST(:n AS text) || E'}')"),
    ],
)
def test_ids_become_those_of_another_order_and_nothing_else_becomes_a_variable(
    value: str | None, expression: str
) -> None:
    assert script([Statement(7, "SELECT $1", {1: value})]).endswith(f"\nSELECT {expression};\n")


def test_what_was_repeated_or_is_missing_is_a_violation() -> None:
    once_each("voided", ["a", "b"], ["b", "a"])
    for found in (["a"], ["a", "b", "b"], ["a", "b", "c"]):
        with pytest.raises(Violated):
            once_each("voided", found, ["a", "b"])


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([7.0], 0.99)) == (50.0, 99.0, 7.0)


def test_a_figure_is_the_median_with_its_spread() -> None:
    assert figure([3.0, 1.0, 1000.0]).text(1) == "3.0 (1.0..1,000.0)"


def test_columns_of_a_table_are_as_wide_as_what_they_hold() -> None:
    assert Table("T", ("a", "b"), [["long", "1"]]).text() == "T\n\na     b\n----  -\nlong  1"
