"""The words of our e-mails: a subject, a text and an HTML page for each template, compiled once."""

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

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
_parts = {name: _environment.get_template(name) for name in _environment.list_templates(extensions=("txt", "html"))}


def compose(letter: Letter) -> Mail:
    """Fill a letter's template; the same letter gives the same Message-ID."""
    currency = letter.context["currency"]
    context = letter.context | {"amount": money.text(letter.context["total"], currency)}
    if "fee" in letter.context:
        context |= {"fee_text": money.text(letter.context["fee"], currency)}
    return Mail(
        message_id=f"{letter.cause}.{letter.template}",
        recipient=letter.recipient,
        subject=_parts[f"{letter.template}.subject.txt"].render(context).strip(),
        text=_parts[f"{letter.template}.txt"].render(context),
        html=_parts[f"{letter.template}.html"].render(context),
    )
