"""However a run is cut up, it ends in the same bytes of evidence; another seed draws other prompts, no more."""

import itertools
import time
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from agentopt.sandbox.server import Sandbox, running
from evaluation import calls, run, services
from evaluation.models import Evaluation
from ingestion.gateway import open_gateway
from projects.models import Project, User
from projects.services import create_project
from tests.evaluation import studies
from tests.flows.evidence_bytes import bytes_of, named

SLICES = 5


def study_of(owner: User, sandbox: Sandbox, folder: Path, *, name: str, seed: int = 7) -> Evaluation:
    """A copy of the same logs, with the same candidates and judge."""
    project = create_project(name, owner=owner)
    project.hash_key = "the same for all copies"  # by it use cases are drawn, and by those the sample
    project.save()
    gateway = studies.connect(project, sandbox.url)
    studies.take_in(project, studies.support_log(70), folder)
    return studies.open_study(project, gateway, candidates=("corvus-medium", "lumen-flash"), limit=60, seed=seed)


def in_slices(evaluation: Evaluation) -> int:
    """Two workers take turns, each with a row and a connection of its own; how many slices it took."""
    workers = [open_gateway(Project.objects.get(pk=evaluation.project_id).connection) for _ in range(2)]
    for turn in itertools.count(1):
        mine = Evaluation.objects.select_related("project", "goal").get(pk=evaluation.pk)
        seconds = 0.15 if turn < SLICES else 60
        until = time.monotonic() + seconds
        if run.advance(mine, gateway=workers[turn % 2], now=timezone.now, deadline=until, beat=studies.silent):
            return turn
    raise AssertionError


def paused(evaluation: Evaluation) -> None:
    """A person stops it in the middle, and lets it go on."""
    gateway = open_gateway(evaluation.project.connection)

    def stop(*, done: int, **_progress: Any) -> None:
        if done >= 1 and Evaluation.objects.get(pk=evaluation.pk).state == Evaluation.State.RUNNING:
            services.pause(Evaluation.objects.get(pk=evaluation.pk), None)

    studies.run_to_end(evaluation, gateway, beat=stop)
    assert evaluation.state == Evaluation.State.PAUSED
    Evaluation.objects.filter(pk=evaluation.pk).update(state=Evaluation.State.QUEUED)
    studies.run_to_end(evaluation, gateway)


def test_paused_cut_into_slices_and_undisturbed_end_in_the_same_bytes(
    db: None, owner: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "STORE_EVERY_S", 0.01)  # or a quick machine is through before anybody can stop it
    with running(latency_ms=20) as sandbox:
        whole, cut, stopped = [study_of(owner, sandbox, tmp_path, name=name) for name in ("Whole", "Cut", "Stopped")]
        studies.run_to_end(whole, open_gateway(whole.project.connection))
        slices = in_slices(cut)
        paused(stopped)

    assert 1 < slices <= SLICES
    assert bytes_of(cut) == bytes_of(whole)
    assert bytes_of(stopped) == bytes_of(whole)


def test_another_seed_draws_other_prompts_and_changes_nothing_else(db: None, owner: User, tmp_path: Path) -> None:
    with running() as sandbox:
        first, second = [study_of(owner, sandbox, tmp_path, name=f"Seed {seed}", seed=seed) for seed in (7, 8)]

    drawn = [list(one.samples.order_by("position").values_list("record__source_id", flat=True)) for one in
             (first, second)]  # fmt: skip
    assert drawn[0] != drawn[1]
    frozen = [{
        "policy": one.policy, "limit": one.limit, "cap": one.cap_nanousd, "conditions": named(one.conditions, {}),
        "candidates": list(one.candidates.order_by("position").values_list("position", "offer__name", "state")),
        "judges": list(one.seats.order_by("pk").values_list("judge__model", "judge__rubric", "version__text_hash")),
        "population": {k: v for k, v in one.population.items() if k not in ("drawn", "until")},
        "forecast": one.forecast,
    } for one in (first, second)]  # fmt: skip
    assert frozen[0] == frozen[1]


def test_the_same_seed_draws_the_same_prompts(db: None, owner: User, tmp_path: Path) -> None:
    with running() as sandbox:
        copies = [study_of(owner, sandbox, tmp_path, name=f"Copy {i}") for i in range(2)]

    drawn = [list(one.samples.order_by("position").values_list("record__source_id", flat=True)) for one in copies]
    assert drawn[0] == drawn[1]
