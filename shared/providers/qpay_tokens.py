"""What QPay is asked through: a session whose calls share their tokens, of which one renews them for all.

Neither a token nor our secret is in any error, and none of them can be printed.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Annotated, Any

import msgspec
import requests
from requests.adapters import HTTPAdapter

from shared.providers.ports import Unknown

#: A time beyond this is one of the unix clock, and not a duration: as a duration it would be 31 years.
EPOCH = 1e9

#: Seconds before its end in which a token is used no more: clocks differ, and a request is on its way for a while.
MARGIN = 60.0

#: What an answer is that tells us no: a refresh token is dead, or our own login is wrong.
NOT_LET_IN = (400, 401, 403, 422)

#: Asks once, and returns whatever is answered.  Raises `Unknown` when nothing is.
Send = Callable[..., requests.Response]

#: All that stands in a token (RFC 6750, section 2.1); an error over any other would repeat it.
Token = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9._~+/=-]{1,8192}\Z")]


class _Answer(msgspec.Struct):
    access_token: Token
    expires_in: float
    refresh_token: Token | None = None
    refresh_expires_in: float = 0.0


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Grant:
    """What one answer lets us in with; times are of the unix clock, in seconds."""

    access: str = ""
    access_until: float = 0.0
    refresh: str = ""
    refresh_until: float = 0.0
    #: Why there is nothing; empty when there is.
    failure: str = ""


class Session:
    """Asks QPay, for a limited time; calls share nothing but their tokens."""

    def __init__(self, base: str, client_id: str, secret: str, timeout: tuple[float, float], connections: int) -> None:
        """`timeout` is (connect, read) in seconds; `connections` are kept open, for as many calls at once."""
        self._base, self._limits = base, {"timeout": timeout, "allow_redirects": False}
        self._line = requests.Session()
        self._line.trust_env = False  # no proxy or netrc look-up in every request
        self._line.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        self._line.headers.update({"Accept": "application/json"})
        for scheme in ("http://", "https://"):
            self._line.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=connections))
        self._tokens = Tokens(self._send, client_id, secret)

    def ask(self, method: str, path: str, **wish: Any) -> requests.Response:
        """Make one call, and once more when a dead token kept it out: nothing has happened then.  Raises `Unknown`."""
        grant = self._tokens.current()
        answer = self._send(method, path, headers=_bearer(grant.access), **wish)
        if answer.status_code == 401:
            fresh = self._tokens.instead_of(grant)
            answer = self._send(method, path, headers=_bearer(fresh.access), **wish)
        return answer

    def _send(self, method: str, path: str, **wish: Any) -> requests.Response:
        try:
            return self._line.request(method, self._base + path, **wish | self._limits)
        except Exception as error:  # it may have arrived
            raise Unknown(type(error).__name__) from error


class Tokens:
    """Lets any number of calls in at once, by one request for all of them."""

    def __init__(self, send: Send, client_id: str, secret: str) -> None:
        self._send, self._login = send, (client_id.encode(), secret.encode())
        self._grant, self._lock = Grant(), threading.Lock()

    def current(self) -> Grant:
        """Return what lets us in, renewed a little before its end.  Raises `Unknown`."""
        seen = self._grant
        return seen if _lasts(seen.access_until) else self._replaced(seen, self._renew)

    def instead_of(self, rejected: Grant) -> Grant:
        """Return what lets us in when QPay has turned `rejected` away before its end.  Raises `Unknown`."""
        return self._replaced(rejected, lambda _: self._log_in())

    def _replaced(self, seen: Grant, fetch: Callable[[Grant], Grant]) -> Grant:
        """Fetch another one, unless somebody did while we waited: then what came of it, be it a failure, is ours too.

        Otherwise those who wait for a QPay that is silent would each wait for its whole time, one after the other.
        """
        with self._lock:
            if self._grant is seen:
                self._grant = _attempted(fetch, seen)
            grant = self._grant
        if grant.failure:
            raise Unknown(grant.failure)
        return grant

    def _renew(self, seen: Grant) -> Grant:
        """Use the refresh token, which is dead afterwards; when it is dead before, log in."""
        if _lasts(seen.refresh_until):
            answer = self._send("POST", "/auth/refresh", headers=_bearer(seen.refresh))
            if answer.status_code not in NOT_LET_IN:
                return _granted(answer)
        return self._log_in()

    def _log_in(self) -> Grant:
        return _granted(self._send("POST", "/auth/token", auth=self._login))


def _bearer(token: str) -> dict[str, str]:
    """The header that shows a token; QPay names its kind in small letters, and wants a capital one."""
    return {"Authorization": f"Bearer {token}"}


def _attempted(fetch: Callable[[Grant], Grant], seen: Grant) -> Grant:
    try:
        return fetch(seen)
    except Unknown as unknown:  # whether the refresh token is dead now, nobody knows: the next one logs in
        return Grant(failure=unknown.reason)


def _granted(answer: requests.Response) -> Grant:
    if answer.status_code in NOT_LET_IN:  # a person mends the login, and it goes on
        raise Unknown("not_let_in")
    if answer.status_code != 200:
        raise Unknown(f"http_{answer.status_code}")
    try:
        found = msgspec.json.decode(answer.content, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unknown(type(error).__name__) from error
    refresh_until = _moment(found.refresh_expires_in) if found.refresh_token else 0.0
    return Grant(found.access_token, _moment(found.expires_in), found.refresh_token or "", refresh_until)


def _moment(expiry: float) -> float:
    """When something expires: QPay's `expires_in` is a moment, whatever its name says; a duration is taken too."""
    return expiry if expiry > EPOCH else time.time() + expiry


def _lasts(until: float) -> bool:
    return time.time() < until - MARGIN
