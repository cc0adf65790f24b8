"""What the programs of a stack are told: the environment that shared/settings.py reads, and little else."""

import json
import os
from collections.abc import Mapping

from sandbox.stack.options import StackOptions
from sandbox.stack.ports import LOOPBACK
from sandbox.stack.secrets import Secrets

#: What a program gets of the starter's own environment.  Proxies above all stay out: everything is on loopback.
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR")


def for_programs(
    options: StackOptions, ports: Mapping[str, int], secrets: Secrets, *, database: str, broker: str
) -> dict[str, str]:
    """The environment of every program of one stack."""
    return {
        **{name: os.environ[name] for name in INHERITED if name in os.environ},
        **options.ambient,
        "COUNTERMAND_PROFILE": "embedded",
        "COUNTERMAND_DATABASE_URL": database,
        "COUNTERMAND_BROKER_URL": broker,
        "COUNTERMAND_STRIPE_API_BASE": f"http://{LOOPBACK}:{ports['stripe']}",
        "COUNTERMAND_STRIPE_API_KEY": "sk_test_countermand",
        "COUNTERMAND_STRIPE_WEBHOOK_SECRETS": secrets.stripe_webhook_secret,
        "COUNTERMAND_RAZORPAY_API_BASE": f"http://{LOOPBACK}:{ports['razorpay']}",
        "COUNTERMAND_RAZORPAY_KEY_ID": "rzp_test_countermand",
        "COUNTERMAND_RAZORPAY_KEY_SECRET": "countermand",
        "COUNTERMAND_RAZORPAY_WEBHOOK_SECRETS": secrets.razorpay_webhook_secret,
        "COUNTERMAND_DELHIVERY_API_BASE": f"http://{LOOPBACK}:{ports['delhivery']}",
        "COUNTERMAND_DELHIVERY_API_KEY": "countermand",
        "COUNTERMAND_DELHIVERY_WEBHOOK_SECRETS": secrets.delhivery_push_secret,
        "COUNTERMAND_ADMIN_EMAIL": "desk@countermand.example",
        "COUNTERMAND_SMTP_HOST": LOOPBACK,
        "COUNTERMAND_SMTP_PORT": str(ports["smtp"]),
        "COUNTERMAND_SMTP_START_TLS": "false",
        "COUNTERMAND_JWT_KEYS": json.dumps({"development": secrets.jwt_key}),
        "COUNTERMAND_GATEWAY_PROCESSES": str(options.gateway_processes),
        **options.environment,
    }
