"""The transport: instead of a broker, a list of messages whose order, repetition and loss the test decides."""

from dataclasses import dataclass, field

from shared.queues import Task
from shared.store.intents import Bell
from shared.store.outbox import Message
from tests.faults.harness.boundaries import Kind, boundary


@dataclass
class Transport:
    """Stands in for `shared.broker.Publisher`; what is published waits here until somebody takes it."""

    messages: list[Message] = field(default_factory=list)
    #: The intents whose waiters were woken.
    rung: list[str] = field(default_factory=list)
    #: Whether the broker is away: then nothing can be published.
    away: bool = False

    def publish(self, messages: list[Message]) -> bool:
        """Take each message; False when the broker is away."""
        for message in messages:
            with boundary(Kind.PUBLISH, message.task):
                if not self.away:
                    self.messages.append(message)
        return not self.away

    def ring(self, bells: list[Bell]) -> None:
        """Wake those who wait for these intents."""
        with boundary(Kind.PUBLISH, "bells"):
            if not self.away:
                self.rung.extend(bell.intent_id for bell in bells)

    def take(self, place: int = 0) -> Message:
        """The message at this place of the line, which leaves it."""
        return self.messages.pop(place)

    def take_all(self, task: Task, subject: str) -> None:
        """Take every copy of a message out of the line."""
        self.messages = [message for message in self.messages if message != Message(task, subject)]

    def lose_everything(self) -> None:
        """As a broker without its memory does."""
        self.messages.clear()
