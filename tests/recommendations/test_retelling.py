"""A model retells a recommendation: what it is told, and what of its words is shown."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from agentopt.lib.errors import Conflict
from agentopt.sandbox.server import running
from evaluation.models import Charge
from ingestion.gateway import open_gateway
from projects.models import Project, User
from recommendations import retelling, summaries
from recommendations.models import Recommendation, Summary
from tests.evaluation import studies
from tests.recommendations import documents

GOOD = "Corvus saves $1,168 a month; quality differs by −0.001 and all checks are shown for corvus-medium."
BAD = "It saves $1,170 a month."


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        "Quality stays (−0.042 to +0.035), and 70 % confidence is needed.",
        "corvus-medium costs less and nothing else is known.",
    ],
)
def test_a_text_with_given_numbers_only_may_be_shown(text: str) -> None:
    told = json.dumps(retelling.facts(documents.recommended()), ensure_ascii=False)
    assert "−0.042" in told
    assert "$1,168" in told

    found = retelling.refusal(text, documents.recommended())

    assert found == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (BAD, "1170"),
        ("It is twice as good.", "twice"),
        ("It costs half.", "half"),
        ("Quality falls by 0.0010.", "0.0010"),
        ("See https://example.com", "https:"),
        ("<b>Good</b>", "<"),
        ("", "empty"),
        ("word " * 400, "longer"),
    ],
)
def test_a_text_that_says_more_is_refused_with_what_it_said(text: str, why: str) -> None:
    assert why in retelling.refusal(text, documents.recommended())


def test_digits_within_names_are_no_numbers() -> None:
    evidence = documents.recommended()
    evidence["candidates"][2]["name"] = "tern-70b"

    assert retelling.refusal("tern-70b was dropped.", evidence) == ""
    assert "70b" not in retelling.refusal("It has 71 layers.", evidence)


def test_the_model_is_told_figures_and_no_prompt() -> None:
    evidence = documents.recommended()
    evidence["worst"] = [{"case": 3, "record": 1, "was": 0.9, "now": 0.4, "drop": -0.5}]

    assert set(retelling.facts(evidence)) == {
        "outcome", "in_short", "saving", "figures", "checks", "what_would_change_it", "not_known", "next_step",
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------ over HTTP
def _recorded(folder: Path, made: Recommendation, text: str) -> None:
    """A recorded sandbox that answers the very request with a text."""
    message = retelling.body(made.evidence)["messages"]
    key = hashlib.sha256(message[1]["content"].encode()).hexdigest()
    rows: dict[str, dict[str, Any]] = {
        "prompts": {"prompt_id": "0", "messages": message, "user_sha256": key},
        "completions": {"prompt_id": "0", "model": "teller", "content": text},
    }
    for name, row in rows.items():
        (folder / f"own_{name}.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    (folder / "own_verdicts.jsonl").write_text("", encoding="utf-8")


@pytest.mark.parametrize(("text", "shown"), [("Nothing was switched; corvus-medium costs less.", True), (BAD, False)])
def test_a_summary_is_asked_paid_checked_and_labelled(
    project: Project, member: User, settings: Any, tmp_path: Path, client_of: Callable[[User], Client],
    text: str, shown: bool,
) -> None:  # fmt: skip
    settings.SUMMARY_MODEL = "teller"
    made = documents.store(project, documents.recommended())
    _recorded(tmp_path, made, text)
    with running(recordings=tmp_path) as server:
        studies.connect(project, server.url, simulated=False)
        gateway = open_gateway(project.connection)
        found = summaries.write(made, gateway=gateway, by=member, now=timezone.now)

    page = client_of(member).get(made.get_absolute_url()).content.decode()
    assert bool(found.text) == shown
    assert ("costs less" in page) == shown
    assert ("is not shown" in page) == (not shown)
    assert "written by a model, teller" in page
    assert BAD not in page
    assert Charge.objects.filter(project=project, kind=Charge.Kind.SUMMARY).count() == 1


def test_without_a_model_there_is_nothing_to_ask(
    project: Project, member: User, client_of: Callable[[User], Client]
) -> None:
    made = documents.store(project, documents.recommended())

    with pytest.raises(Conflict, match="SUMMARY_MODEL"):
        summaries.ask(made, by=member)
    assert "In other words" not in client_of(member).get(made.get_absolute_url()).content.decode()


def test_hostile_text_stays_text(project: Project, reader: User, client_of: Callable[[User], Client]) -> None:
    made = documents.store(project, documents.recommended())
    Summary.objects.create(recommendation=made, model=documents.HOSTILE, text=documents.HOSTILE, at=timezone.now())

    page = client_of(reader).get(made.get_absolute_url()).content.decode()

    assert "<script>alert(1)" not in page
