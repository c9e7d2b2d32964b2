"""The demo: three projects of an invented shop, from logs to advice or drift, by the services of any other project."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
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
from recommendations.drift import sentences
from recommendations.models import Alert, Recommendation

EMAIL = "demo@example.com"
PATIENCE_S = 600
JUDGES = ["judge-oriole", "judge-heron"]
NOISE_PROMPTS = 30
DRIFT = "drift"
LOOKED_BACK = timedelta(days=42)  # for drift: four weeks to learn from, six quiet days, and what came then
CHANGED_FOR = timedelta(days=8)


@dataclass(frozen=True)
class Scene:
    """One demo project: the sandbox's key of it, and the outcomes that show the product works.

    `kind` is that of the recommendation, or drift, whose codes are metrics.
    """

    name: str
    key: str
    kind: str
    codes: tuple[str, ...]


SCENES = [
    Scene("Support agent", "sandbox-support", Recommendation.Kind.SWITCH, ("all_conditions_shown",)),
    Scene("Returns desk", "sandbox-returns", Recommendation.Kind.NONE, ("no_candidate_likely", "evidence_too_weak")),
    Scene("Order desk", "sandbox-orders", DRIFT, ("latency",)),
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
    projects_services.connect(project, base_url=url, api_key=_key(scene, project), by=person)
    return project


def _key(scene: Scene, project: Project) -> str:
    """The day on which an agent changes follows from its project's first: so its logs never change in a later run."""
    return f"{scene.key}@{project.created_at - CHANGED_FOR:%Y-%m-%d}" if scene.kind == DRIFT else scene.key


def follow(
    project: Project, *, say: Callable[[str], Any], sleep: Callable[[float], None], now: Callable[[], float]
) -> Outcome:
    """Pull the logs and go on to advice or drift through the workers, unless that was done before; read the outcome.

    Raises:
        Conflict: a job failed or took more than ten minutes.
    """
    scene = next(scene for scene in SCENES if scene.name == project.name)
    person = project.memberships.filter(role=Role.OWNER).earliest("pk").user
    for kind, begin in {} if _is_done(project, scene) else _steps(project, scene, by=person).items():
        # a scheduled drift check may have looked before there were logs
        over = [Job.State.FAILED, Job.State.CANCELLED, *([Job.State.DONE] if kind == DRIFT else [])]
        earlier = project.jobs.filter(kind=kind).exclude(state__in=over)
        _wait(earlier.order_by("-pk").first() or begin(), say=say, sleep=sleep, now=now)
    if scene is SCENES[0] and not project.evaluations.filter(kind=Evaluation.Kind.NOISE).exists():
        _wait(_measure_noise(project, by=person), say=say, sleep=sleep, now=now)
    return read(project, scene)


def _is_done(project: Project, scene: Scene) -> bool:
    return project.alerts.exists() if scene.kind == DRIFT else project.recommendations.exists()


def _steps(project: Project, scene: Scene, *, by: User) -> dict[str, Callable[[], Job]]:
    if scene.kind == DRIFT:
        since = {"since": (timezone.now() - LOOKED_BACK).isoformat()}
        return {
            "sync": lambda: jobs.start("sync", project, options=since, by=by),
            "use_cases": lambda: usecases.start(project, by=by),
            "drift": lambda: jobs.start("drift", project, by=by),
        }
    return {
        "sync": lambda: jobs.start("sync", project, by=by),
        "use_cases": lambda: usecases.start(project, by=by),
        "evaluation": lambda: _evaluate(project, by=by),
        "recommendation": lambda: _recommend(project, by=by),
    }


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
    """The newest recommendation of a demo project, or its first drift, held against what is expected."""
    if scene.kind == DRIFT:
        return _read_drift(project, scene)
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


def _read_drift(project: Project, scene: Scene) -> Outcome:
    alert = project.alerts.filter(kind=Alert.Kind.SHIFT).order_by("pk").first()
    if alert is None:
        raise Conflict(f"{project} has no alert: delete the project and run the demo again.")
    late = alert.began_at - (project.created_at - CHANGED_FOR)
    return Outcome(
        project=project.name,
        kind=DRIFT,
        code=alert.metric,
        confidence=None,
        headline=sentences.headline(alert),
        line=f"{sentences.size(alert)} since about {alert.began_at:%B %-d}. {sentences.advice(alert)}",
        path=alert.get_absolute_url(),
        expected=alert.metric in scene.codes and bool(alert.rise) and abs(late) <= timedelta(days=3),
    )


def as_json(outcomes: list[Outcome], *, address: str, email: str) -> str:
    """What the command prints with --json; the password stays out of it."""
    return json.dumps({"projects": [asdict(outcome) for outcome in outcomes], "address": address, "email": email})
