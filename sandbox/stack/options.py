"""What a stack may be told: which programs run, on which ports, and with which broker."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

#: A port that the stack may be told; where the environment does not name one, a free one is taken.
PORTS: Mapping[str, str] = MappingProxyType(
    {
        "gateway": "GATEWAY_PORT",
        "flower": "FLOWER_PORT",
        "mailbox": "MAILBOX_PORT",
        "smtp": "SMTP_PORT",
        "stripe": "STRIPE_PORT",
        "razorpay": "RAZORPAY_PORT",
        "delhivery": "DELHIVERY_PORT",
    }
)


class StackError(Exception):
    """The stack could not do what it was asked; the message says why, with the end of the log that explains it."""


@dataclass(frozen=True, kw_only=True)
class StackOptions:
    """How one stack is to run; the defaults are what `make up` wants."""

    #: Names of programs, of rooms ("stores", "outside", "mesh"), or "workers"; empty runs everything.
    only: Collection[str] = ()
    #: "redis" for the embedded one, or the kombu URL of a broker that runs elsewhere.
    broker: str = "redis"
    #: How many gunicorn processes serve the gateway.
    gateway_processes: int = 2
    #: Fixed ports by the names in `PORTS`; the others are free ones.
    ports: Mapping[str, int] = field(default_factory=dict)
    #: Additional environment of every program; it wins over what the stack decides.
    environment: Mapping[str, str] = field(default_factory=dict)
    #: Settings of the starter; what the stack decides wins over them.
    ambient: Mapping[str, str] = field(default_factory=dict)
    #: Let the stand-ins tell the gateway what happened.
    webhooks: bool = True
    #: Bring the schema to its newest version before the mesh starts.
    migrate: bool = True
    #: Live on when the starting process ends.  Otherwise the stack stops with the thread that started it.
    detached: bool = False
    #: Seconds that every step of the start may take.
    patience: float = 60.0


def from_environment(environ: Mapping[str, str], *, detached: bool) -> StackOptions:
    """The options of `make up`: ports, `GATEWAY_PROCESSES`, `BROKER_URL` and `COUNTERMAND_*` from the environment.

    Raises StackError when a port is not a number.
    """
    try:
        return StackOptions(
            broker=environ.get("BROKER_URL") or "redis",
            gateway_processes=int(environ.get("GATEWAY_PROCESSES") or StackOptions.gateway_processes),
            ports={name: int(environ[variable]) for name, variable in PORTS.items() if environ.get(variable)},
            ambient={name: value for name, value in environ.items() if name.startswith("COUNTERMAND_")},
            detached=detached,
        )
    except ValueError as error:
        raise StackError(f"{', '.join(PORTS.values())} and GATEWAY_PROCESSES are whole numbers: {error}") from None
