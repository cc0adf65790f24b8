"""Problems: what we answer when we say no."""

import inspect
import json
import pickle
import re

import pytest

from gateway import openapi
from shared import errors
from shared.errors import CaptureUnconfirmed, LateCancel, MethodNotAllowed, NotFound, Problem

PROBLEMS = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, Problem)]


def test_there_are_problems() -> None:
    assert len(PROBLEMS) > 15


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.__name__)
def test_every_problem_has_a_code_a_status_and_a_title_of_its_own(problem: type[Problem]) -> None:
    assert re.fullmatch(r"[a-z][a-z_]+", problem.code)
    assert 400 <= problem.http_status < 500 or problem.http_status in (500, 502, 503)
    assert "__doc__" in vars(problem)
    assert problem.title()
    assert not problem.title().endswith(".")
    # A method that a path does not have stands in no description of one that it has.
    assert problem.http_status in openapi.TITLES or problem is MethodNotAllowed


def test_no_two_problems_share_a_code() -> None:
    codes = [problem.code for problem in PROBLEMS]
    assert sorted(codes) == sorted(set(codes))


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.__name__)
def test_who_shall_come_back_is_told_when_and_only_then(problem: type[Problem]) -> None:
    assert (problem.http_status == 503) == (problem.retry_after is not None)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.__name__)
def test_a_problem_survives_pickling_with_its_message_and_members(problem: type[Problem]) -> None:
    revived = pickle.loads(pickle.dumps(problem("what happened", intent="int_1")))  # noqa: S301  # our own bytes
    assert type(revived) is problem
    assert revived.document() == problem("what happened", intent="int_1").document()
    assert revived.members == {"intent": "int_1"}


def test_a_problem_without_a_message_says_its_title() -> None:
    assert LateCancel().message == LateCancel.title() == "Order already processed"


def test_a_problem_document_holds_what_rfc_9457_and_the_client_contracts_name() -> None:
    assert json.loads(LateCancel().body()) == {
        "type": "about:blank",
        "title": "Order already processed",
        "status": 409,
        "code": "late_cancel",
        "message": "Order already processed",
    }
    assert json.loads(CaptureUnconfirmed(intent="int_1").body())["intent"] == "int_1"
    assert json.loads(NotFound("There is no such order").body())["message"] == "There is no such order"


def test_the_words_of_the_client_contract_are_kept() -> None:
    assert (errors.LateCancel.code, errors.LateCancel.http_status) == ("late_cancel", 409)
    assert (errors.PartialCapture.code, errors.PartialCapture.http_status) == ("partial_capture", 422)
    assert errors.PartialCapture.title() == "Cannot cancel partially captured order"
    assert (errors.KeyReused.code, errors.KeyReused.http_status) == ("idempotency_key_reused", 422)
