"""The SMTP conversation, as far as a sink needs it: https://www.rfc-editor.org/rfc/rfc5321.

It is written on asyncio's streams because aiosmtpd costs about twice as much a message, and a stand-in must not be
what a benchmark measures.  It offers no TLS and no authentication: it listens on loopback.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Mapping

from sandbox.faults import Faults
from sandbox.http import Drop, refuse_beyond_loopback

#: What a refusal says; 4xx asks to try again later, 5xx is final.
REFUSALS: Mapping[str, bytes] = {
    "451": b"451 4.7.1 Try again later\r\n",
    "550": b"550 5.1.1 Not accepted here\r\n",
}
#: What may befall a connection, a recipient and a message.
FAULTS: Mapping[str, Collection[str]] = dict.fromkeys(
    ("connect", "rcpt", "data"), (*REFUSALS, "drop_before", "drop_after", "timeout_before", "timeout_after")
)

LARGEST_MESSAGE = 10 << 20
LONGEST_LINE = 4096

MAIL = re.compile(rb"FROM: ?<([^<>\s]*)>((?: [^ ]+)*)", re.IGNORECASE)
RCPT = re.compile(rb"TO: ?<([^<>\s]+@[^<>\s]+)>", re.IGNORECASE)
SIZE = re.compile(rb" SIZE=(\d+)", re.IGNORECASE)

OK = b"250 2.0.0 OK\r\n"
GREETING = b"220 mailbox.localhost ESMTP Countermand sandbox\r\n"
EXTENSIONS = (
    b"250-mailbox.localhost\r\n250-SIZE %d\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-PIPELINING\r\n"
    b"250 ENHANCEDSTATUSCODES\r\n" % LARGEST_MESSAGE
)
BAD_ARGUMENT = b"501 5.5.4 Syntax error in parameters\r\n"
BAD_SEQUENCE = b"503 5.5.1 Bad sequence of commands\r\n"
UNKNOWN = b"500 5.5.2 Command not recognized\r\n"
TOO_LARGE = b"552 5.3.4 Message too large\r\n"

#: Keeps one message: its sender, its recipients, its bytes.
Keep = Callable[[str, list[str], bytes], None]


class Sink:
    """Takes mail for anybody and hands it to `keep`."""

    def __init__(self, keep: Keep, faults: Faults) -> None:
        self._keep = keep
        self._faults = faults
        self._conversations: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server

    async def start(self, port: int, host: str = "127.0.0.1") -> int:
        """Listen on loopback, and return the port; 0 asks the system for a free one."""
        refuse_beyond_loopback(host)
        self._listener = await asyncio.start_server(self._converse, host, port, limit=LARGEST_MESSAGE + 2)
        return int(self._listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening and end every conversation."""
        self._listener.close()
        for conversation in self._conversations:
            conversation.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a conversation runs in a task")
        self._conversations.add(task)
        try:
            await Conversation(reader, writer, self._keep, self._faults).hold()
        except (Drop, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, ConnectionError):
            writer.transport.abort()
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._conversations.discard(task)
            writer.close()


class Conversation:
    """One connection: one or more messages, each in the order MAIL, RCPT, DATA."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, keep: Keep, faults: Faults) -> None:
        self._reader = reader
        self._writer = writer
        self._keep = keep
        self._faults = faults
        self._greeted = False
        self._forget()
        self._commands: Mapping[bytes, Callable[[bytes], Awaitable[bytes]]] = {
            b"HELO": self._hello,
            b"EHLO": self._hello_extended,
            b"MAIL": self._mail,
            b"RCPT": self._recipient,
            b"DATA": self._data,
            b"RSET": self._reset,
            b"NOOP": self._nothing,
            b"VRFY": self._verify,
        }

    def _forget(self) -> None:
        self._sender: str | None = None
        self._recipients: list[str] = []

    async def hold(self) -> None:
        """Talk until the client quits; raises Drop or IncompleteReadError when the connection is lost."""
        refusal = await self._meet_before("connect", ())
        self._writer.write(refusal or GREETING)
        if refusal:
            return
        await self._meet_after()
        while (line := await self._line()) is not None:
            verb, _, argument = line.partition(b" ")
            if verb.upper() == b"QUIT":
                self._writer.write(b"221 2.0.0 Bye\r\n")
                return
            answer = self._commands.get(verb.upper(), self._unknown)
            self._writer.write(await answer(argument.strip()))

    async def _line(self) -> bytes | None:
        line = await self._reader.readline()
        if len(line) > LONGEST_LINE:
            return b""
        return line.rstrip(b"\r\n") if line else None

    async def _hello(self, argument: bytes) -> bytes:
        self._forget()
        self._greeted = bool(argument)
        return b"250 mailbox.localhost\r\n" if argument else BAD_ARGUMENT

    async def _hello_extended(self, argument: bytes) -> bytes:
        return EXTENSIONS if await self._hello(argument) is not BAD_ARGUMENT else BAD_ARGUMENT

    async def _mail(self, argument: bytes) -> bytes:
        if not self._greeted or self._sender is not None:
            return BAD_SEQUENCE
        sent = MAIL.fullmatch(argument)
        if sent is None:
            return BAD_ARGUMENT
        size = SIZE.search(sent[2])
        if size is not None and int(size[1]) > LARGEST_MESSAGE:
            return TOO_LARGE
        self._sender = sent[1].decode("utf-8", "replace")
        return OK

    async def _recipient(self, argument: bytes) -> bytes:
        if self._sender is None:
            return BAD_SEQUENCE
        sent = RCPT.match(argument)
        if sent is None:
            return BAD_ARGUMENT
        recipient = sent[1].decode("utf-8", "replace")
        refusal = await self._meet_before("rcpt", (recipient,))
        if refusal:
            return refusal
        self._recipients.append(recipient)
        await self._meet_after()
        return OK

    async def _data(self, argument: bytes) -> bytes:
        if not self._recipients:
            return BAD_SEQUENCE
        self._writer.write(b"354 End data with <CR><LF>.<CR><LF>\r\n")
        message = await self._message()
        sender, recipients = self._sender or "", self._recipients
        self._forget()
        if len(message) > LARGEST_MESSAGE:
            return TOO_LARGE
        refusal = await self._meet_before("data", recipients)
        if refusal:
            return refusal
        self._keep(sender, recipients, message)
        await self._meet_after()
        return b"250 2.0.0 OK: kept\r\n"

    async def _message(self) -> bytes:
        """Everything up to the line with a single dot, with the dots removed that were put in front of others."""
        received = bytearray()
        while received != b".\r\n" and not received.endswith(b"\r\n.\r\n"):
            received += await self._reader.readuntil(b".\r\n")
        return bytes(received[:-3]).removeprefix(b".").replace(b"\r\n.", b"\r\n")

    async def _reset(self, argument: bytes) -> bytes:
        self._forget()
        return OK

    async def _nothing(self, argument: bytes) -> bytes:
        return OK

    async def _verify(self, argument: bytes) -> bytes:
        return b"252 2.1.5 Cannot verify, but will take it\r\n"

    async def _unknown(self, argument: bytes) -> bytes:
        return UNKNOWN

    async def _meet_before(self, operation: str, subjects: Collection[str]) -> bytes | None:
        """Wait the latency and meet a fault that comes before the effect; returns the refusal, when it is one."""
        await self._faults.delay(operation)
        self._fault = self._faults.take(operation, subjects)
        if self._fault is None:
            return None
        if self._fault.fault == "timeout_before":
            await self._faults.hang(self._fault.seconds)
        if self._fault.fault == "drop_before":
            raise Drop
        return REFUSALS.get(self._fault.fault)

    async def _meet_after(self) -> None:
        """Meet a fault that comes after the effect: the answer is never given."""
        if self._fault is not None and self._fault.fault == "timeout_after":
            await self._faults.hang(self._fault.seconds)
        if self._fault is not None and self._fault.fault == "drop_after":
            raise Drop
