"""Rows are written as bulk_create writes them, and a second one of the same place is left out."""

from agentopt.sandbox.server import Sandbox
from evaluation import writing
from evaluation.models import Replay
from projects.models import Project
from tests.evaluation import studies


def test_rows_come_back_as_bulk_create_would_store_them(ready: Project, sandbox: Sandbox) -> None:
    evaluation = studies.open_study(ready, studies.connect(ready, sandbox.url), rubrics=["correctness"], limit=30)
    sample, candidate = evaluation.samples.first(), evaluation.candidates.get(position=1)
    told = {
        "sample": sample, "candidate": candidate, "status": "answered", "source": "called", "answer": "100 % “it’s”",
        "tool_calls": [{"name": "look", "arguments": "{}"}], "refused": False, "cost_nanousd": 5, "latency_us": 9,
    }  # fmt: skip

    writing.insert_new([Replay(**told, repetition=1), Replay(**told, repetition=2)])
    Replay.objects.bulk_create([Replay(**told, repetition=3)])

    rows = list(Replay.objects.filter(candidate=candidate).order_by("repetition").values())
    assert all(row["created_at"] for row in rows)
    own = ("id", "repetition", "created_at")
    plain = [{name: found for name, found in row.items() if name not in own} for row in rows]
    assert len(rows) == 3
    assert plain[0] == plain[1] == plain[2]


def test_the_first_row_of_a_place_stays(ready: Project, sandbox: Sandbox) -> None:
    evaluation = studies.open_study(ready, studies.connect(ready, sandbox.url), rubrics=["correctness"], limit=30)
    place = {"sample": evaluation.samples.first(), "candidate": evaluation.candidates.get(position=1)}

    writing.insert_new([Replay(**place, status="answered", source="called", answer="first")])
    writing.insert_new([Replay(**place, status="answered", source="called", answer="second")])

    assert Replay.objects.get(**place).answer == "first"


def test_nothing_is_written_of_nothing() -> None:
    writing.insert_new([])
