"""What people see of a migration."""

import io
from dataclasses import replace

import msgspec
import pytest

from shared.domain.orders import OrderStatus
from workers.migration_report import Outcome, Progress, Report, Told

TOLD = Told("ord_1", Outcome.MIGRATED, None, None, 2150, 3800, "USD", OrderStatus.PENDING, "pi_1")


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_the_progress_is_one_line_that_is_written_over_on_a_terminal():
    stream = Terminal()
    progress = Progress(stream, 2)
    for _ in range(2):
        progress.step()
    progress.end()
    assert stream.getvalue().startswith(f"\r[{'#' * 30}] 2 of 2 orders, 100%, ")
    assert stream.getvalue().count("\n") == 1


def test_the_progress_is_a_line_now_and_then_elsewhere():
    stream = io.StringIO()
    progress = Progress(stream, 10_000)
    for _ in range(10_000):
        progress.step()
    progress.end()
    assert stream.getvalue().startswith("10,000 of 10,000 orders, 100%, ")
    assert stream.getvalue().count("\n") == 1


def test_the_progress_of_nothing_is_all_of_it():
    stream = io.StringIO()
    Progress(stream, 0).end()
    assert stream.getvalue().startswith("0 of 0 orders, 100%, ")


def test_the_progress_grows_with_orders_that_come_meanwhile():
    stream = io.StringIO()
    progress = Progress(stream, 1)
    progress.step()
    progress.step()
    progress.end()
    assert stream.getvalue().startswith("2 of 2 orders, 100%, ")


def test_the_report_has_a_line_of_json_for_each_order_at_once():
    lines = io.BytesIO()
    Report(lines).add(TOLD)
    told = msgspec.json.decode(lines.getvalue())
    assert lines.getvalue().endswith(b"\n")
    assert (told["order_id"], told["outcome"], told["amount"], told["registered"]) == ("ord_1", "migrated", 2150, 3800)


@pytest.mark.parametrize("outcome", Outcome)
def test_the_report_is_clean_when_every_order_was_migrated(outcome):
    report = Report(None)
    assert report.is_clean
    report.add(replace(TOLD, outcome=outcome))
    assert report.is_clean == (outcome is Outcome.MIGRATED)
