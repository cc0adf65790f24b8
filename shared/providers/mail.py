"""Mail, through SMTP (RFC 5321): one recipient a message, connections kept open.

A deterministic Message-ID lets people and mailbox providers spot a repeat; SMTP itself has no idempotency.
"""

import binascii
import queue
import smtplib
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from email.policy import compat32
from email.utils import format_datetime, parseaddr

from shared.providers.ports import Refused, Unknown

#: The older API of the standard library builds a message in a fraction of the time, and refuses line
#: breaks in headers too.
_WIRE = compat32.clone(linesep="\r\n", max_line_length=998)

#: "=_" never occurs in quoted-printable text (RFC 2045, section 6.7), so no body can contain it.
BOUNDARY = "=_countermand_=_alternative_="

#: Replies to a missing or wrong login: an operator mends it, and the mail goes out later.
LOGIN = (530, 534, 535, 538)

#: How many idle connections are kept; one for each message that is sent at once is plenty.
IDLE = 50


@dataclass(frozen=True, slots=True)
class Mail:
    """A message to one recipient, as text and as HTML."""

    message_id: str
    recipient: str
    subject: str
    text: str
    html: str


class Mailer:
    """Sends through one server.  Raises `Refused` for a final no, `Unknown` for anything that may go through later."""

    def __init__(
        self, host: str, port: int, *, start_tls: bool, login: tuple[str, str] | None, timeout: float, sender: str
    ) -> None:
        self._host, self._port, self._start_tls, self._login, self._timeout = host, port, start_tls, login, timeout
        self._sender = sender
        self.domain = parseaddr(sender)[1].rpartition("@")[2]
        self._idle: queue.LifoQueue[smtplib.SMTP] = queue.LifoQueue(IDLE)

    def send(self, mail: Mail) -> None:
        """Hand one message to the server."""
        message = self._message(mail)
        try:
            self._deliver(parseaddr(self._sender)[1], mail.recipient, message)
        except smtplib.SMTPRecipientsRefused as error:
            code, _ = error.recipients[mail.recipient]
            raise _sorted(code) from error
        except smtplib.SMTPResponseException as error:
            raise _sorted(error.smtp_code) from error
        except (smtplib.SMTPException, OSError) as error:
            raise Unknown(type(error).__name__) from error

    def _deliver(self, sender: str, recipient: str, message: bytes) -> None:
        connection = self._kept()
        if connection is not None:
            try:
                connection.rset()  # an idle connection that the server closed is found out before anything is sent
            except (smtplib.SMTPException, OSError):
                connection.close()
                connection = None
        connection = connection or self._connect()
        try:
            connection.sendmail(sender, [recipient], message)
        except BaseException:
            connection.close()
            raise
        self._keep(connection)

    def _kept(self) -> smtplib.SMTP | None:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            return None

    def _keep(self, connection: smtplib.SMTP) -> None:
        try:
            self._idle.put_nowait(connection)
        except queue.Full:
            connection.quit()

    def _connect(self) -> smtplib.SMTP:
        connection = smtplib.SMTP(self._host, self._port, timeout=self._timeout)
        if self._start_tls:
            connection.starttls(context=ssl.create_default_context())
        if self._login:
            connection.login(*self._login)
        return connection

    def _message(self, mail: Mail) -> bytes:
        message = MIMEMultipart("alternative", boundary=BOUNDARY)
        message["From"] = self._sender
        message["To"] = mail.recipient
        message["Subject"] = mail.subject
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Message-ID"] = f"<{mail.message_id}@{self.domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message["X-Auto-Response-Suppress"] = "All"
        message.attach(_part("plain", mail.text))
        message.attach(_part("html", mail.html))
        return message.as_bytes(policy=_WIRE)


def _part(subtype: str, content: str) -> MIMENonMultipart:
    """A body in seven bits, whatever the language: no server on the way needs to recode it."""
    part = MIMENonMultipart("text", subtype, charset="utf-8")
    part["Content-Transfer-Encoding"] = "quoted-printable"
    part.set_payload(binascii.b2a_qp(content.encode(), istext=True).decode("ascii"))
    return part


def _sorted(code: int) -> Exception:
    """4xx means later, 5xx means never (RFC 5321, section 4.2.1), unless it is about our own login (RFC 4954)."""
    return Refused(str(code)) if code >= 500 and code not in LOGIN else Unknown(str(code))
