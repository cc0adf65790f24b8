"""Cancel by a courier: tracking shows that an order's parcel is canceled or comes back, so the order is taken back.

The request is the mesh's own, recorded once for each shipment in the commit that has seen it, and most often carried
out in that very commit (workers/recalling.py).  Its message matters when the order's money was being moved just then.
"""

from shared.queues import Task
from workers.app import app
from workers.base import Worker
from workers.taking_back import by_courier, take_back


@app.task(base=Worker, bind=True, name=Task.CANCEL_ORDER_BY_COURIER)
def cancel_order_by_courier(task: Worker, intent_id: str) -> None:
    """Judge one cancel of a courier and carry it out; safe to run any number of times."""
    with task.work() as work:
        take_back(task, work, Task.CANCEL_ORDER_BY_COURIER, intent_id, by_courier)
