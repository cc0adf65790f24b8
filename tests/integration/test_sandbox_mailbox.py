"""The mailbox, driven by Python's own SMTP client."""

from __future__ import annotations

import signal
import smtplib
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from sandbox.mailbox.store import Store
from tests.integration.sandbox_process import Running, running


class Mailbox:
    """One running mailbox, as a test talks to it."""

    def __init__(self, smtp: str, url: str) -> None:
        self.port = urlsplit(smtp).port or 0
        self.url = url
        self.http = requests.Session()

    def connect(self, timeout: float = 5) -> smtplib.SMTP:
        return smtplib.SMTP("127.0.0.1", self.port, timeout=timeout)

    def send(self, message: EmailMessage, timeout: float = 5) -> dict[str, tuple[int, bytes]]:
        with self.connect(timeout) as smtp:
            return smtp.send_message(message)

    def tell(self, method: str, path: str, **more: Any) -> Any:
        answer = self.http.request(method, f"{self.url}/{path}", **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def arm(self, operation: str, fault: str, **more: Any) -> None:
        self.tell("POST", "_sandbox/faults", json={"operation": operation, "fault": fault, **more})

    def accepted(self, message: EmailMessage) -> int:
        """How often a message was accepted, by its Message-ID."""
        ledger = self.tell("GET", "_sandbox/ledger")
        return sum(row["message_id"] == message["Message-ID"] for row in ledger)


@contextmanager
def mailbox(data: Path) -> Iterator[tuple[Mailbox, Running]]:
    with running("sandbox.mailbox", "--smtp-port", "0", "--http-port", "0", "--data", str(data)) as process:
        driven = Mailbox(*process.addresses)
        try:
            yield driven, process
        finally:
            driven.http.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailbox]:
    with mailbox(tmp_path_factory.mktemp("mailbox")) as (driven, _):
        yield driven


@pytest.fixture
def box(server: Mailbox) -> Iterator[Mailbox]:
    yield server
    server.tell("DELETE", "_sandbox/faults")
    server.tell("POST", "_sandbox/latency", json={"milliseconds": 0})


@pytest.fixture
def mail(request: pytest.FixtureRequest) -> EmailMessage:
    """A notice with text and HTML, its Message-ID made from the test's name."""
    message = EmailMessage(policy=policy.SMTP)
    message["From"] = "shop@example.test"
    message["To"] = "ann@example.test"
    message["Subject"] = "Your order is canceled — цуцлагдсан"
    message["Message-ID"] = f"<{request.node.name.replace('[', '.').rstrip(']')}@example.test>"
    message.set_content("Hello.\n.\n.. dots\nGrüße, 東京.\n", cte="quoted-printable")
    message.add_alternative("<p>Hello <b>Ann</b></p>", subtype="html")
    return message


def newest(box: Mailbox, mail: EmailMessage) -> Any:
    (shown,) = box.tell("GET", "messages", params={"message_id": mail["Message-ID"]})
    return shown


# Taking and showing mail.


def test_a_message_is_kept_as_it_was_sent(box: Mailbox, mail: EmailMessage) -> None:
    before, source = time.time(), mail.as_bytes()
    with box.connect() as smtp:
        assert smtp.sendmail("shop@example.test", ["ann@example.test"], source) == {}
    shown = newest(box, mail)
    assert (shown["to"], shown["from"]) == (["ann@example.test"], "shop@example.test")
    assert shown["subject"] == mail["Subject"]
    assert shown["text"].replace("\r\n", "\n") == "Hello.\n.\n.. dots\nGrüße, 東京.\n"
    assert shown["html"].strip() == "<p>Hello <b>Ann</b></p>"
    assert before <= shown["received_at"] <= time.time()
    assert box.tell("GET", f"messages/{shown['id']}") == shown
    kept = box.http.get(f"{box.url}/messages/{shown['id']}.eml")
    assert kept.headers["Content-Type"] == "message/rfc822"
    assert kept.content == source


def test_the_html_of_a_message_is_shown_and_can_fetch_nothing(box: Mailbox, mail: EmailMessage) -> None:
    box.send(mail)
    page = box.http.get(f"{box.url}/messages/{newest(box, mail)['id']}.html")
    assert "<b>Ann</b>" in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


def test_a_message_without_html_is_shown_as_its_text(box: Mailbox, mail: EmailMessage) -> None:
    mail.clear_content()
    mail.set_content("1 < 2\n")
    box.send(mail)
    assert "1 &lt; 2" in box.http.get(f"{box.url}/messages/{newest(box, mail)['id']}.html").text


def test_the_list_names_every_message_and_escapes_it(box: Mailbox, mail: EmailMessage) -> None:
    del mail["Subject"]
    mail["Subject"] = "<script>alert(1)</script>"
    box.send(mail)
    page = box.http.get(f"{box.url}/")
    assert page.headers["Content-Type"].startswith("text/html")
    assert "&lt;script&gt;" in page.text
    assert "<script" not in page.text
    assert f"/messages/{newest(box, mail)['id']}.html" in page.text


def test_messages_are_found_by_recipient_whatever_its_case(box: Mailbox, mail: EmailMessage) -> None:
    with box.connect() as smtp:
        smtp.send_message(mail, to_addrs=["Only.Me@example.test", "also@example.test"])
    (shown,) = box.tell("GET", "messages?to=only.me@example.test")
    assert shown["to"] == ["Only.Me@example.test", "also@example.test"]
    assert box.tell("GET", "messages?to=nobody@example.test") == []


def test_one_connection_takes_many_messages_the_newest_is_shown_first(box: Mailbox, mail: EmailMessage) -> None:
    with box.connect() as smtp:
        for _ in range(3):
            smtp.send_message(mail)
    shown = box.tell("GET", "messages", params={"message_id": mail["Message-ID"]})
    assert [message["id"] for message in shown] == sorted((message["id"] for message in shown), reverse=True)
    assert len(shown) == box.accepted(mail) == 3
    assert len(box.tell("GET", "messages?limit=2")) == 2


def test_an_empty_message_and_one_of_dots_are_taken_whole(box: Mailbox) -> None:
    for source in (b"\r\n", b".\r\n", b".\r\n.\r\n", b"a\r\n..\r\n.b.\r\n"):
        with box.connect() as smtp:
            smtp.sendmail("shop@example.test", ["dots@example.test"], source)
        newest_id = box.tell("GET", "messages?to=dots@example.test&limit=1")[0]["id"]
        assert box.http.get(f"{box.url}/messages/{newest_id}.eml").content == source


def test_forgetting_the_messages_leaves_the_ledger(box: Mailbox, mail: EmailMessage) -> None:
    box.send(mail)
    id = newest(box, mail)["id"]
    assert box.tell("DELETE", "messages")["forgotten"] >= 1
    assert box.tell("GET", "messages") == []
    assert box.http.get(f"{box.url}/messages/{id}").status_code == 404
    assert box.accepted(mail) == 1
    count = box.tell("GET", "_sandbox/count")
    assert count == {"count": len(box.tell("GET", "_sandbox/ledger")), "kept": 0}


def test_only_the_newest_messages_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.mailbox.store.MOST_MESSAGES", 2)
    store = Store(tmp_path)
    for n in range(3):
        store.keep("shop@example.test", ["ann@example.test"], f"Message-ID: <{n}@x>\r\n\r\n".encode())
    assert [kept.message_id for kept in store.newest("ann@example.test", None, 9)] == ["<2@x>", "<1@x>"]
    assert len(store.ledger(0)) == 3
    store.close()


@pytest.mark.parametrize("path", ["messages/0", "messages/x", "messages/1.pdf", "nothing"])
def test_what_is_not_there_is_not_found(box: Mailbox, path: str) -> None:
    assert box.http.get(f"{box.url}/{path}").status_code == 404


# The conversation.


@pytest.mark.parametrize(
    ("commands", "code"),
    [
        (["MAIL FROM:<a@example.test>"], 503),
        (["EHLO"], 501),
        (["EHLO me", "RCPT TO:<a@example.test>"], 503),
        (["EHLO me", "DATA"], 503),
        (["EHLO me", "MAIL FROM:<a@example.test>", "DATA"], 503),
        (["EHLO me", "MAIL FROM:<a@example.test>", "MAIL FROM:<a@example.test>"], 503),
        (["EHLO me", "MAIL FROM:a@example.test"], 501),
        (["EHLO me", "MAIL FROM:<a@example.test> SIZE=99999999"], 552),
        (["EHLO me", "MAIL FROM:<>", "RCPT TO:<nobody>"], 501),
        (["EHLO me", "MAIL FROM:<>", "RSET", "RCPT TO:<a@example.test>"], 503),
        (["HELO me", "NOOP"], 250),
        (["VRFY ann"], 252),
        (["EXPN all"], 500),
        (["x" * 5000], 500),
    ],
)
def test_a_command_is_judged_as_the_protocol_says(box: Mailbox, commands: list[str], code: int) -> None:
    with box.connect() as smtp:
        answers = [smtp.docmd(command)[0] for command in commands]
    assert answers[-1] == code


def test_commands_may_be_sent_without_waiting_for_their_answers(box: Mailbox) -> None:
    with socket.create_connection(("127.0.0.1", box.port), timeout=5) as raw, raw.makefile("rb") as answers:
        raw.sendall(b"HELO me\r\nMAIL FROM:<>\r\nRCPT TO:<pipe@example.test>\r\nDATA\r\n")
        assert [answers.readline()[:3] for _ in range(5)] == [b"220", b"250", b"250", b"250", b"354"]
        raw.sendall(b"Subject: x\r\n\r\ny\r\n.\r\nQUIT\r\n")
        assert [answers.readline()[:3] for _ in range(2)] == [b"250", b"221"]
    assert box.tell("GET", "messages?to=pipe@example.test")[0]["text"] == "y\r\n"


def test_a_connection_lost_within_a_message_delivers_nothing(box: Mailbox) -> None:
    with socket.create_connection(("127.0.0.1", box.port), timeout=5) as raw, raw.makefile("rb") as answers:
        raw.sendall(b"HELO me\r\nMAIL FROM:<>\r\nRCPT TO:<lost@example.test>\r\nDATA\r\n")
        assert [answers.readline()[:3] for _ in range(5)][-1] == b"354"
        raw.sendall(b"Subject: x\r\n\r\nhalf of it\r\n")
    assert box.tell("GET", "messages?to=lost@example.test") == []


# Faults.


@pytest.mark.parametrize("code", [451, 550])
def test_a_recipient_can_be_refused_while_another_is_taken(box: Mailbox, mail: EmailMessage, code: int) -> None:
    box.arm("rcpt", str(code), object="bad@example.test")
    with box.connect() as smtp:
        refused = smtp.send_message(mail, to_addrs=["good@example.test", "bad@example.test"])
    assert {address: answer[0] for address, answer in refused.items()} == {"bad@example.test": code}
    assert newest(box, mail)["to"] == ["good@example.test"]


@pytest.mark.parametrize("code", [451, 550])
def test_every_recipient_can_be_refused(box: Mailbox, mail: EmailMessage, code: int) -> None:
    box.arm("rcpt", str(code))
    with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
        box.send(mail)
    assert caught.value.recipients["ann@example.test"][0] == code
    assert box.accepted(mail) == 0
    assert box.send(mail) == {}


@pytest.mark.parametrize("code", [451, 550])
def test_a_message_can_be_refused(box: Mailbox, mail: EmailMessage, code: int) -> None:
    box.arm("data", str(code))
    with pytest.raises(smtplib.SMTPDataError) as caught:
        box.send(mail)
    assert caught.value.smtp_code == code
    assert box.accepted(mail) == 0


@pytest.mark.parametrize(
    ("fault", "accepted"),
    [("drop_before", 0), ("drop_after", 1), ("timeout_before", 0), ("timeout_after", 1)],
)
def test_a_lost_answer_does_not_say_whether_the_message_was_taken(
    box: Mailbox, mail: EmailMessage, fault: str, accepted: int
) -> None:
    box.arm("data", fault, seconds=0.2)
    with pytest.raises(smtplib.SMTPServerDisconnected):
        box.send(mail)
    assert box.accepted(mail) == accepted


def test_a_hanging_answer_outlasts_the_clients_patience(box: Mailbox, mail: EmailMessage) -> None:
    box.arm("data", "timeout_after")
    with pytest.raises((smtplib.SMTPServerDisconnected, TimeoutError)):
        box.send(mail, timeout=0.2)
    assert box.accepted(mail) == 1


def test_a_connection_can_be_refused_or_dropped(box: Mailbox) -> None:
    box.arm("connect", "451")
    with pytest.raises(smtplib.SMTPConnectError) as caught:
        box.connect()
    assert caught.value.smtp_code == 451
    box.arm("connect", "drop_before")
    with pytest.raises(smtplib.SMTPServerDisconnected):
        box.connect()
    with box.connect() as smtp:
        assert smtp.noop()[0] == 250


def test_mail_can_be_slow(box: Mailbox, mail: EmailMessage) -> None:
    box.tell("POST", "_sandbox/latency", json={"milliseconds": 300, "operation": "data"})
    started = time.monotonic()
    box.send(mail)
    assert time.monotonic() - started >= 0.3


def test_a_fault_that_makes_no_sense_is_refused(box: Mailbox) -> None:
    answer = box.http.post(f"{box.url}/_sandbox/faults", json={"operation": "rcpt", "fault": "decline"})
    assert answer.status_code == 400


# The process.


def test_messages_and_ledger_survive_a_restart(tmp_path: Path, mail: EmailMessage) -> None:
    with mailbox(tmp_path) as (box, process):
        box.send(mail)
        ledger, messages = box.tell("GET", "_sandbox/ledger"), box.tell("GET", "messages")
        assert process.end(signal.SIGKILL) == -signal.SIGKILL
    with mailbox(tmp_path) as (box, _):
        assert (box.tell("GET", "_sandbox/ledger"), box.tell("GET", "messages")) == (ledger, messages)


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_and_cleanly_also_in_a_conversation(tmp_path: Path, by: signal.Signals) -> None:
    with mailbox(tmp_path) as (box, process):
        assert box.tell("GET", "_sandbox/health") == {"status": "ok"}
        smtp = box.connect()
        started = time.monotonic()
        assert process.end(by) == 0
        assert time.monotonic() - started < 2
        smtp.close()
