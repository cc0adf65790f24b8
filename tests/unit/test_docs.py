"""What the documents say is what the code says."""

import inspect
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import fields

from shared.domain import bookings, edits, emails, intents, orders, payments, refunds, settling, shipments, webhooks
from shared.settings import PREFIX, Settings
from workers.groups import GROUPS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
GENERATOR = runpy.run_path(str(DOCS / "generate.py"))
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())

PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
SETTINGS = {PREFIX + field.name.upper() for field in fields(Settings)}


@pytest.mark.parametrize("name", GENERATOR["PAGES"])
def test_a_generated_page_is_what_the_generator_gives(name):
    assert (DOCS / name).read_text() == GENERATOR["PAGES"][name](), "run `.venv/bin/python docs/generate.py`"


def test_every_table_of_transitions_is_drawn():
    tables = [
        value
        for module in (bookings, edits, emails, intents, orders, payments, refunds, settling, shipments, webhooks)
        for name, value in vars(module).items()
        if name.endswith("TRANSITIONS")
    ]
    assert [table for table in tables if not any(machine.table is table for machine in GENERATOR["MACHINES"])] == []


@pytest.mark.parametrize("field", fields(Settings), ids=lambda field: field.name)
def test_every_setting_has_a_meaning_in_one_place(field):
    assert GENERATOR["meaning"](field.name)
    if field.name in GENERATOR["PLAIN"]:
        assert GENERATOR["meaning"](field.name) == GENERATOR["PLAIN"][field.name], "the code explains it: drop ours"


def test_no_meaning_is_left_of_a_setting_that_is_gone():
    assert {PREFIX + name.upper() for name in GENERATOR["PLAIN"]} <= SETTINGS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_inside_the_repository_leads_somewhere(page):
    assert [link for link in _links(page) if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", [*PAGES, ROOT / "docker-compose.yml"], ids=lambda page: str(page.relative_to(ROOT)))
def test_every_setting_that_is_named_exists(page):
    named = set(re.findall(rf"\b{PREFIX}[A-Z_]+\b", page.read_text()))
    assert named <= SETTINGS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_source_file_that_is_named_exists(page):
    named = re.findall(r"`((?:gateway|workers|shared|sandbox|docs|tests)/[\w/.]*)`", page.read_text())
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_compose_file_starts_every_worker_group():
    services = COMPOSE["services"]
    assert [services[f"worker-{group}"]["command"] for group in GROUPS] == [
        ["python", "-m", "workers", group] for group in GROUPS
    ]


def test_the_compose_file_sets_every_setting_that_is_required():
    required = {PREFIX + field.name.upper() for field in fields(Settings) if field.required}
    for name, service in COMPOSE["services"].items():
        if service["image"] == "countermand":
            assert required <= set(service["environment"]), name


def test_the_states_in_the_pictures_are_the_members_of_the_code():
    page = (DOCS / "states.md").read_text()
    for machine in GENERATOR["MACHINES"]:
        assert inspect.getdoc(machine.states) in page
        assert all(f"| `{state}` |" in page for state in machine.states)


def _links(page: Path) -> Iterator[str]:
    """Relative links and pictures, without their anchors."""
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path = link.partition("#")[0]
        if path and "://" not in path:
            yield path
