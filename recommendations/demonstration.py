"""The demo: three projects of an invented shop, from logs to recommendation, by the services of any other project."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any
from urllib.request import urlopen

from django.utils import timezone

from agentopt.lib.errors import Conflict
from evaluation import services as evaluations
from evaluation.models import Evaluation
from ingestion import gateway, usecases
from ingestion.catalog import loader
from projects import jobs
from projects import services as projects_services
from projects.models import Job, Project, Role, User
from recommendations import explain
from recommendations.models import Recommendation

EMAIL = "demo@example.com"
PATIENCE_S = 600
JUDGES = ["judge-oriole", "judge-heron"]
NOISE_PROMPTS = 30
TOO_FEW = ("too_few_prompts", "too_few_conversations")


@dataclass(frozen=True)
class Scene:
    """One demo project: the sandbox's key of it, and the outcomes that show the product works."""

    name: str
    key: str
    kind: str
    codes: tuple[str, ...]


SCENES = [
    Scene("Support agent", "sandbox-support", Recommendation.Kind.SWITCH, ("all_conditions_shown",)),
    Scene("Returns desk", "sandbox-returns", Recommendation.Kind.NONE, ("no_candidate_likely", "evidence_too_weak")),
    Scene("Warranty line", "sandbox-warranty", Recommendation.Kind.NONE, TOO_FEW),
]


@dataclass(frozen=True)
class Outcome:
    """What came out for one demo project."""

    project: str
    kind: str
    code: str
    confidence: float | None
    headline: str
    line: str
    path: str
    expected: bool


def prepare(announcement: str, *, email: str, password: str) -> list[Project]:
    """Make person and projects where they are missing, and point all of them at the sandbox that just started.

    Args:
        announcement: the sandbox's first line: JSON with its `url`.
    """
    url = json.loads(announcement)["url"]
    person = User.objects.filter(email=email).first() or User.objects.create_superuser(email)
    person.set_password(password)
    person.save()
    with urlopen(url.removesuffix("/v1") + "/sandbox/catalog", timeout=20) as reply:  # noqa: S310
        loader.load(json.load(reply))
    return [_prepare_one(scene, url=url, person=person) for scene in SCENES]


def _prepare_one(scene: Scene, *, url: str, person: User) -> Project:
    project = Project.objects.filter(name=scene.name, memberships__user=person, memberships__role=Role.OWNER).first()
    if project is None:
        project = projects_services.create_project(scene.name, owner=person)
        evaluations.set_judges(project, JUDGES)
    projects_services.connect(project, base_url=url, api_key=scene.key, by=person)
    return project


def follow(
    project: Project, *, say: Callable[[str], Any], sleep: Callable[[float], None], now: Callable[[], float]
) -> Outcome:
    """Pull the logs, evaluate and recommend through the workers, unless that was done before; then read the outcome.

    Raises:
        Conflict: a job failed or took more than ten minutes.
    """
    scene = next(scene for scene in SCENES if scene.name == project.name)
    person = project.memberships.filter(role=Role.OWNER).earliest("pk").user
    steps: dict[str, Callable[[], Job]] = {
        "sync": lambda: jobs.start("sync", project, by=person),
        "use_cases": lambda: usecases.start(project, by=person),
        "evaluation": lambda: _evaluate(project, by=person),
        "recommendation": lambda: _recommend(project, by=person),
    }
    for kind, begin in {} if project.recommendations.exists() else steps.items():
        earlier = project.jobs.filter(kind=kind).exclude(state__in=[Job.State.FAILED, Job.State.CANCELLED])
        _wait(earlier.order_by("-pk").first() or begin(), say=say, sleep=sleep, now=now)
    if scene is SCENES[0] and not project.evaluations.filter(kind=Evaluation.Kind.NOISE).exists():
        _wait(_measure_noise(project, by=person), say=say, sleep=sleep, now=now)
    return read(project, scene)


def _evaluate(project: Project, *, by: User) -> Job:
    """The first project also calls its model again beside the candidates, which makes latency comparable."""
    request = evaluations.EvaluationRequest(replay_baseline=project.name == SCENES[0].name)
    calls = gateway.open_gateway(project.connection)
    return evaluations.start(
        evaluations.open_evaluation(project, request, by=by, gateway=calls, now=timezone.now()), by=by
    )


def _measure_noise(project: Project, *, by: User) -> Job:
    """The model in production against itself on as few prompts as the decision takes: its fresh answers are cached."""
    request = evaluations.EvaluationRequest(noise=True, limit=NOISE_PROMPTS)
    calls = gateway.open_gateway(project.connection)
    return evaluations.start(
        evaluations.open_evaluation(project, request, by=by, gateway=calls, now=timezone.now()), by=by
    )


def _recommend(project: Project, *, by: User) -> Job:
    newest = project.evaluations.filter(kind=Evaluation.Kind.CANDIDATES).latest("number")
    return jobs.start("recommendation", project, subject_id=newest.pk, by=by)


def _wait(job: Job, *, say: Callable[[str], Any], sleep: Callable[[float], None], now: Callable[[], float]) -> None:
    said, until = "", now() + PATIENCE_S
    while job.state in (Job.State.QUEUED, Job.State.RUNNING):
        if now() > until:
            raise Conflict(f"The {job.kind} of {job.project} took more than {PATIENCE_S // 60} minutes.")
        if job.message and job.message != said:
            said = job.message
            say(f"{job.project}: {said}")
        sleep(0.5)
        job.refresh_from_db()
    if job.state != Job.State.DONE:
        raise Conflict(f"The {job.kind} of {job.project} {job.state}: {job.error}")


def read(project: Project, scene: Scene) -> Outcome:
    """The newest recommendation of a demo project, held against what is expected."""
    newest = project.recommendations.order_by("-pk").first()
    if newest is None:
        raise Conflict(f"{project} has no recommendation: delete the project and run the demo again.")
    code = newest.reasons[0]["code"]
    return Outcome(
        project=project.name,
        kind=newest.kind,
        code=code,
        confidence=newest.confidence,
        headline=explain.headline(newest.evidence),
        line=" ".join(explain.lead(newest.evidence)),
        path=newest.get_absolute_url(),
        expected=newest.kind == scene.kind and code in scene.codes,
    )


def as_json(outcomes: list[Outcome], *, address: str, email: str) -> str:
    """What the command prints with --json; the password stays out of it."""
    return json.dumps({"projects": [asdict(outcome) for outcome in outcomes], "address": address, "email": email})
