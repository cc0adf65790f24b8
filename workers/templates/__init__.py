"""The words of our e-mails: a subject, a text and an HTML page for each template, compiled once."""

from functools import cache

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, select_autoescape

from shared import money
from shared.providers.mail import Mail
from shared.store.emails import Letter

_environment = Environment(
    loader=FileSystemLoader(__path__),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def compose(letter: Letter) -> Mail:
    """Fill a letter's template; the same letter gives the same Message-ID."""
    context = letter.context | {"amount": money.text(letter.context["total"], letter.context["currency"])}
    return Mail(
        message_id=f"{letter.cause}.{letter.template}",
        recipient=letter.recipient,
        subject=_part(letter.template, "subject.txt").render(context).strip(),
        text=_part(letter.template, "txt").render(context),
        html=_part(letter.template, "html").render(context),
    )


@cache
def _part(template: str, part: str) -> Template:
    return _environment.get_template(f"{template}.{part}")
