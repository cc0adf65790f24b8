"""What is asked of Razorpay, through its real SDK."""

import base64
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
from razorpay.resources import Payment, Refund

from shared.providers.ports import RefundTag, Unknown
from shared.providers.razorpay import Razorpay
from tests.unit.razorpay.server import Server, payment, refund

TAG = RefundTag("rfd_1", 2)


def ask_everything(server: Server, provider: Razorpay) -> None:
    """Make every call there is."""
    for answer in (payment("authorized"), payment("authorized"), payment("authorized"), payment("captured")):
        server.say(200, answer)
    provider.read("pay_1")
    provider.void("pay_1", "void:v1")
    provider.capture("pay_1", 3800, "capture:c1")
    for answer in (refund(), refund(), {"items": [refund()]}):
        server.say(200, answer)
    provider.refund("pay_1", 700, TAG, "refund:rfd_1:2")
    provider.read_refund("rfnd_1")
    provider.refunds("pay_1")


def test_every_request_is_ours_and_nobody_elses(server: Server, provider: Razorpay) -> None:
    ask_everything(server, provider)
    login = "Basic " + base64.b64encode(b"rzp_test_1:secret").decode()
    assert {asked["headers"]["authorization"] for asked in server.asked} == {login}


def test_only_a_refund_has_a_key(server: Server, provider: Razorpay) -> None:
    ask_everything(server, provider)
    keyed = [asked["path"] for asked in server.asked if "x-refund-idempotency" in asked["headers"]]
    assert keyed == ["/v1/payments/pay_1/refund"]


def test_no_call_leaves_anything_behind_for_the_next(server: Server, provider: Razorpay) -> None:
    """The SDK writes into dicts that it is given, and into defaults that all its calls share."""
    ask_everything(server, provider)
    first, server.asked = server.asked, []
    ask_everything(server, provider)
    assert server.asked == first
    for method in (Payment.fetch, Payment.capture, Payment.refund, Payment.fetch_multiple_refund, Refund.fetch):
        assert inspect.signature(method).parameters["data"].default == {}


def test_no_cookie_is_carried_from_one_call_to_another(server: Server, provider: Razorpay) -> None:
    ask_everything(server, provider)
    assert all("cookie" not in asked["headers"] for asked in server.asked)


@pytest.mark.parametrize("status", [409, 429, 500, 503])
def test_the_sdk_itself_asks_once_since_the_outbox_asks_again(server: Server, provider: Razorpay, status: int) -> None:
    server.complain(status, code="SERVER_ERROR")
    with pytest.raises(Unknown):
        provider.refund("pay_1", 700, TAG, "refund:rfd_1:2")
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_request_goes_where_an_answer_sends_it(server: Server, provider: Razorpay, status: int) -> None:
    server.say(status, "")
    with pytest.raises(Unknown, match=f"^http_{status}$"):
        provider.refund("pay_1", 700, TAG, "refund:rfd_1:2")
    assert len(server.asked) == 1


def test_without_an_address_razorpay_itself_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda host, port, *rest: pytest.fail(f"{host}:{port}"))
    provider = Razorpay("rzp_test_1", "secret", "", (3, 30), connections=1, hold_lifetime=86400)
    with pytest.raises(pytest.fail.Exception, match=r"^api\.razorpay\.com:443$"):
        provider.read("pay_1")


def test_nothing_is_written_to_the_home_directory(server: Server, tmp_path: Path) -> None:
    server.say(200, payment("authorized"))
    program = (
        "import sys; from shared.providers.razorpay import Razorpay; "
        "Razorpay('rzp_test_1', 'secret', sys.argv[1], (3, 30), 1, 86400).read('pay_1')"
    )
    environment = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config"), "PATH": os.environ["PATH"]}
    subprocess.run(
        [sys.executable, "-B", "-c", program, server.url], env=environment, cwd=Path(__file__).parents[3], check=True
    )
    assert len(server.asked) == 1
    assert list(tmp_path.iterdir()) == []


def test_no_proxy_of_the_environment_is_asked(
    server: Server, provider: Razorpay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    server.say(200, payment("authorized"))
    assert provider.read("pay_1").authorized == 3800
