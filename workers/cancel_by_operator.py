"""Cancel by an operator: an order is taken back at any time, and its money given back unless `skipRefund` keeps it."""

from shared.queues import Task
from workers.app import app
from workers.base import Worker
from workers.taking_back import by_operator, take_back


@app.task(base=Worker, bind=True, name=Task.CANCEL_ORDER_BY_OPERATOR)
def cancel_order_by_operator(task: Worker, intent_id: str) -> None:
    """Judge one cancel of an operator and carry it out; safe to run any number of times."""
    with task.work() as work:
        take_back(task, work, Task.CANCEL_ORDER_BY_OPERATOR, intent_id, by_operator)
