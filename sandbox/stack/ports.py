"""Free ports on loopback, held until the programs that want them are started."""

import contextlib
import random
import socket
from collections.abc import Iterable, Iterator, Mapping

from sandbox.stack.options import StackError

LOOPBACK = "127.0.0.1"

#: Below the range from which Linux picks the ports of outgoing connections, so that none of those takes one of ours.
CHOICE = range(20_000, 32_000)
ATTEMPTS = 200


@contextlib.contextmanager
def reserved(names: Iterable[str], fixed: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """A port for each name: the fixed one, or a free one that no other stack gets until this block ends.

    Raises StackError when a fixed port is taken.
    """
    with contextlib.ExitStack() as held:
        ports = {}
        for name in names:
            holder = _hold_fixed(name, fixed[name]) if name in fixed else _hold_any()
            held.enter_context(holder)
            ports[name] = holder.getsockname()[1]
        yield ports


def _hold_fixed(name: str, port: int) -> socket.socket:
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # Connections of a former run may linger in TIME_WAIT; only a listener is in the way of a port that was asked for.
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        holder.bind((LOOPBACK, port))
    except OSError as error:
        holder.close()
        raise StackError(f"port {port} for {name} cannot be used: {error.strerror}") from None
    return holder


def _hold_any() -> socket.socket:
    for port in random.sample(CHOICE, ATTEMPTS):
        holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            holder.bind((LOOPBACK, port))
        except OSError:
            holder.close()
            continue
        # Bound without SO_REUSEADDR it keeps other stacks away; set now, it lets the server itself bind beside it.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return holder
    raise StackError(f"no free port found between {CHOICE.start} and {CHOICE.stop}")
