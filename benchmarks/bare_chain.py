"""The bare chain: the least that Celery can do for a cancel, and the measure of ours.

Three hops (decide, void, e-mail) with the mesh's own broker settings, pools, provider and mailer, but without a
database: nothing is recorded, checked, or repeated after a crash.  An order's id is its reference at the provider.

    python -m benchmarks.bare_chain GROUP                 one worker deployment, as `python -m workers GROUP`
    gunicorn ... benchmarks.bare_chain:application            publishes and answers 202
"""

import gevent.monkey

if __name__ == "__main__":
    gevent.monkey.patch_all()

import sys
from typing import Any

import falcon

from shared import settings
from shared.broker import Publisher, celery_app
from shared.domain.emails import Template
from shared.domain.payments import Provider
from shared.queues import Task
from shared.store.emails import Letter
from shared.store.outbox import Message
from shared.task_events import BufferedEvents
from workers.groups import GROUPS
from workers.mesh import mesh
from workers.templates import compose

app = celery_app(settings.load())
app.steps["consumer"].add(BufferedEvents)
publisher = Publisher(app)


@app.task(name=Task.CANCEL_ORDER)
def decide(reference: str) -> None:
    """Everything may be canceled."""
    publisher.publish([Message(Task.VOID_PAYMENT, reference)])


@app.task(name=Task.VOID_PAYMENT)
def void(reference: str) -> None:
    """Release the authorization."""
    mesh().providers[Provider.STRIPE].void(reference, f"void:{reference}")
    publisher.publish([Message(Task.SEND_EMAIL, reference)])


@app.task(name=Task.SEND_EMAIL)
def email(reference: str) -> None:
    """Tell the shopper."""
    context = {"order_id": reference, "total": 3800, "currency": "USD"}
    letter = Letter(reference, reference, reference, Template.ORDER_CANCELED, "ann@example.com", context, 1)
    mesh().mailer.send(compose(letter))


class Cancellation:
    """`POST /store/orders/{order_id}/cancel`: publish, answer 202."""

    def on_post(self, _: falcon.Request, response: falcon.Response, order_id: str) -> None:
        """Cancel one order."""
        publisher.publish([Message(Task.CANCEL_ORDER, order_id)])
        response.status = 202
        response.text = "{}"


class Health:
    """`GET /healthz`: the process answers."""

    def on_get(self, _: falcon.Request, response: falcon.Response) -> None:
        """Say so."""
        response.text = "{}"


application: falcon.App[Any, Any] = falcon.App()
application.add_route("/store/orders/{order_id}/cancel", Cancellation())
application.add_route("/healthz", Health())


def work(name: str) -> None:
    """Serve the queues of a group just as `python -m workers` does."""
    group = GROUPS[name]
    mesh()
    app.worker_main(
        [
            "worker",
            f"--hostname=bare-{name}@%h",
            f"--queues={','.join(group.queues)}",
            "--pool=gevent",
            f"--concurrency={group.concurrency}",
            "--loglevel=WARNING",
            "--without-mingle",
            "--without-gossip",
        ]
    )


if __name__ == "__main__":
    work(sys.argv[1])
