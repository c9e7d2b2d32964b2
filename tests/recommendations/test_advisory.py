"""agentopt advises: no path of a recommendation changes a connection, a model or a route."""

import ast
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.apps import apps
from django.test import Client
from django.utils import timezone

from projects.models import Project, User
from recommendations import expiry, followup, services
from tests.recommendations import moves

ROOT = Path(__file__).resolve().parents[2]
FORBIDDEN = ("Connection", "ModelOffer", "OfferVersion", "Price", "Goal")
WRITES = {"save", "update", "create", "bulk_create", "bulk_update", "update_or_create", "get_or_create", "delete"}
# the demo makes projects with connections; it is no path of a recommendation
SETS_UP = {"demonstration.py", "demo.py"}


def _rows() -> dict[str, list[Any]]:
    """Everything that says which model serves an agent, and by which way it is reached."""
    models = [apps.get_model("projects", name) for name in ("Connection", "Goal", "Project")]
    models += [apps.get_model("ingestion", name) for name in ("ModelOffer", "OfferVersion", "Price")]
    return {model.__name__: list(model.objects.order_by("pk").values()) for model in models}


def test_the_whole_life_of_a_recommendation_leaves_models_and_connections_as_they_are(
    project: Project, owner: User, client_of: Callable[[User], Client]
) -> None:
    now, client = timezone.now(), client_of(owner)
    made = moves.recommend(project, days_old=20)
    moves.serve(project, moves.OLD, since=now - timedelta(days=40), days=30, a_day=10)
    moves.serve(project, moves.NEW, since=now - timedelta(days=10), days=10)
    before = _rows()

    client.get(made.get_absolute_url())
    client.post(f"{made.get_absolute_url()}acknowledge/", {"note": "go"})
    client.post(f"{made.get_absolute_url()}share/", {"days": 1})
    services.dismiss(made, by=owner, now=now, note="no")
    followup.check(made, now=now)
    expiry.expire(made, now=now + timedelta(days=60))

    assert [step.state for step in made.transitions.order_by("number")][-2:] == ["watching", "confirmed"]
    assert _rows() == before


def test_no_code_of_this_app_writes_what_decides_which_model_serves() -> None:
    wrong = []
    for path in (ROOT / "recommendations").rglob("*.py"):
        if "migrations" in path.parts or path.name in SETS_UP:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WRITES:
                about = ast.unparse(node.func.value)
                if any(name in about for name in FORBIDDEN) or ".connection" in about or ".offer" in about:
                    wrong.append(f"{path.name}: {ast.unparse(node.func)}")

    assert wrong == []


def test_the_gateway_is_asked_for_answers_models_and_logs_and_nothing_else() -> None:
    verbs: dict[str, set[str]] = {}
    for path in (ROOT / "ingestion" / "gateway").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("/"):
                verbs.setdefault(path.name, set()).add(node.value)

    told = {address for addresses in verbs.values() for address in addresses}
    assert not {
        address for address in told if any(word in address for word in ("config", "virtual", "route", "prompt"))
    }
