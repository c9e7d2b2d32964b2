"""What comes round for one project by itself: an evaluation, where something changed and the month has money for it.

The other steps follow one another as jobs (agentopt.schedules): after a sync roll-ups, after an evaluation advice.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from django.db.models import Max, Q, Sum

from agentopt.lib import money, wording
from agentopt.lib.errors import Conflict, Invalid
from evaluation import purse
from evaluation import services as evaluations
from evaluation.models import Evaluation
from evaluation.services import EvaluationRequest
from ingestion import selectors as logs
from ingestion.catalog import listing, offers
from ingestion.gateway import Gateway
from ingestion.models import Batch, LogRecord, ModelOffer, OfferVersion, Price
from projects import notifications
from projects import services as projects
from projects.models import Job, Project
from recommendations import expiry

NEW_CALLS = 1_000
MOST_MOVED = expiry.MOST_MOVED
_SEEN = 20_000  # calls on each side that prompt versions and the mix are read of, the newest
State = Evaluation.State
_COUNTS = (State.QUEUED, State.RUNNING, State.PAUSED, State.AT_CAP, State.DONE)
_WARN_DAYS = (90, 30, 7, 0)
_SILENT = ("unchanged", "under_way", "no_logs")  # reasons that nobody need be told of


@dataclass(frozen=True)
class Said:
    """A reason to start an evaluation, or not to: a stable code and a sentence."""

    code: str
    text: str


@dataclass(frozen=True)
class Turn:
    """What a turn of the schedule came to: the evaluation it started and why, or what held it."""

    evaluation: Evaluation | None
    because: tuple[Said, ...] = ()
    held: Said | None = None


# ------------------------------------------------------------------------------------------------ a turn
def evaluate(project: Project, *, connect: Callable[[], Gateway], now: datetime, job: Job, asked: bool = False) -> Turn:
    """Start an evaluation if it is due, within what the month has left; safe to run again for the same job.

    Args:
        connect: opens the project's gateway.
        asked: a person wants it now: nothing need have changed, and no cap per month need be set.

    Raises:
        GatewayError: the gateway cannot be asked.
    """
    left = project.evaluations.filter(created_at__gte=job.created_at, created_by=job.created_by, state=State.QUEUED)
    begun = left.exclude(pk__in=project.jobs.filter(kind="evaluation").values("subject_id")).first()
    if begun is not None:  # a worker died between the two
        evaluations.start(begun, job.created_by)
        return Turn(begun)
    because = tuple(changes(project, now=now))
    held = _held(project, because, now=now, asked=asked)
    if held is None:
        room = _room(project, now=now)
        request = EvaluationRequest(max_cost_usd=None if room is None else money.usd(room))
        try:
            gateway = connect()
            held = None if asked else _too_dear(project, request, gateway=gateway, now=now, room=room)
            if held is None:
                opened = evaluations.open_evaluation(project, request, by=job.created_by, gateway=gateway, now=now)
                evaluations.start(opened, job.created_by)
                return Turn(opened, because)
        except (Conflict, Invalid) as error:
            held = Said("cannot", error.message)
    tell(project, held, now=now)
    return Turn(None, because, held)


def tell(project: Project, held: Said, *, now: datetime) -> None:
    """Send notice of why a scheduled evaluation did not start: of each reason once a month."""
    if held.code in _SILENT:
        return
    path = f"/p/{project.slug}/settings/schedules/"
    told = {"sentence": f"The scheduled evaluation did not start. {held.text}", "path": path, "code": held.code}
    notifications.send(project, "evaluation_held", told, key=f"{held.code} {now:%Y-%m}", now=now)


def _held(project: Project, because: Sequence[Said], *, now: datetime, asked: bool) -> Said | None:
    going = project.evaluations.filter(state__in=(State.QUEUED, State.RUNNING)).order_by("-number").first()
    if going is not None:
        return Said("under_way", f"Evaluation {going.number} is still under way.")
    if not project.batches.exists():
        return Said("no_logs", "There are no logs yet.")
    if project.monthly_cap_nanousd is None and not asked:
        return Said("no_monthly_cap", "It needs a cap per month: set one in Settings, Limits.")
    room = _room(project, now=now)
    if room is not None and room <= 0:
        cap = wording.dollars(money.usd(project.monthly_cap_nanousd), 2)
        return Said("monthly_cap", f"The cap per month of {cap} is used up. It begins anew with the next month (UTC).")
    if not because and not asked:
        return Said("unchanged", "Nothing changed since the last evaluation that could change its outcome.")
    return None


def _room(project: Project, *, now: datetime) -> int | None:
    """What one run may spend: its own cap, and what the month has left; None: no monthly cap."""
    if project.monthly_cap_nanousd is None:
        return None
    (month,) = purse.caps_of(project, None, now=now)
    left = project.monthly_cap_nanousd - month.spent.nanousd - month.held.nanousd
    return max(0, min(left, projects.effective(project).max_evaluation_cost_nanousd))


def _too_dear(
    project: Project, request: EvaluationRequest, *, gateway: Gateway, now: datetime, room: int | None
) -> Said | None:
    """Whether the run would cost more than there is: one that stops half-way has shown nothing for its money."""
    planned = evaluations.plan(project, request, gateway=gateway, now=now)
    expected = planned.forecast.cost_expected_nanousd
    if room is None or expected is None or expected <= room:
        return None
    said = [wording.dollars(money.usd(amount), 2) for amount in (expected, room)]
    return Said("forecast", f"It would cost about {said[0]}, and {said[1]} are left within the caps.")


# ------------------------------------------------------------------------------------------------ what changed
def changes(project: Project, *, now: datetime) -> list[Said]:
    """What is different since the last evaluation, that could change its outcome; one that never was counts."""
    last = project.evaluations.filter(state__in=_COUNTS, kind=Evaluation.Kind.CANDIDATES).order_by("-number").first()
    if last is None:
        return [Said("first", "There was no evaluation yet.")]
    found = [_goal(project, last), _prices(last, now), _offers(project, last, now), *_traffic(project, last)]
    return [one for one in found if one is not None]


def _goal(project: Project, last: Evaluation) -> Said | None:
    goal = projects.goal_of(project)
    return None if goal.pk == last.goal_id else Said("goal", f"The goal is now version {goal.version}.")


def _since(last: Evaluation, now: datetime) -> Q:
    """Rows with a day that began since the evaluation."""
    return Q(valid_from__gt=last.created_at.astimezone(UTC).date(), valid_from__lte=now.astimezone(UTC).date())


def _prices(last: Evaluation, now: datetime) -> Said | None:
    today = now.astimezone(UTC).date()
    late = Q(created_at__gt=last.created_at, valid_from__lte=today)
    tried = last.candidates.values("offer")
    rows = Price.objects.filter(late | _since(last, now), offer__in=tried)
    names = rows.order_by("offer__name").values_list("offer__name", flat=True).distinct()
    return _named("price", "A price changed", names)


def _offers(project: Project, last: Evaluation, now: datetime) -> Said | None:
    newest = last.candidates.aggregate(pk=Max("offer"))["pk"] or 0
    visible = offers.visible(project)
    fresh = ModelOffer.objects.filter(pk__in=visible.filter(pk__gt=newest).values("pk"))
    able = OfferVersion.objects.filter(_since(last, now), offer__in=visible.values("pk")).values("offer")
    names = ModelOffer.objects.filter(Q(pk__in=fresh.values("pk")) | Q(pk__in=able))
    return _named("offer", "New or changed models", names.order_by("name").values_list("name", flat=True))


def _named(code: str, what: str, names: Iterable[str]) -> Said | None:
    found = list(names)
    if not found:
        return None
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return Said(code, f"{what}: {', '.join(found[:3])}{more}.")


def _traffic(project: Project, last: Evaluation) -> list[Said | None]:
    """By arrival, not by date: a file of old calls that came later tells something new as well."""
    later = Batch.objects.filter(project=project, created_at__gt=last.created_at)
    counted = later.aggregate(n=Sum("added"))["n"] or 0
    found = [Said("calls", f"{counted:,} new calls.")] if counted >= NEW_CALLS else []
    earlier = Batch.objects.filter(project=project, created_at__lte=last.created_at)
    edge = earlier.aggregate(pk=Max("last_pk"))["pk"]
    if not counted or edge is None:
        return list(found)
    rows = LogRecord.objects.filter(project=project).order_by("-pk")
    before, after = (
        list(part.values_list("prompt_version", "assignment__use_case_id")[:_SEEN])
        for part in (rows.filter(pk__lte=edge), rows.filter(pk__gt=edge))
    )
    return [*found, _versions(before, after), _mix(before, after)]


Seen = Sequence[tuple[str, int | None]]


def _versions(before: Seen, after: Seen) -> Said | None:
    known = {version for version, _ in before if version}
    fresh = sorted({version for version, _ in after if version} - known) if known else []
    return _named("prompt_version", "New prompt versions", fresh)


def _mix(before: Seen, after: Seen) -> Said | None:
    shares = [Counter(str(use_case) for _, use_case in part if use_case is not None) for part in (before, after)]
    moved = expiry.moved_share(*shares)
    if moved is None or moved <= MOST_MOVED:
        return None
    return Said("mix", f"{100 * moved:.0f} points of the traffic moved between use cases.")


# ------------------------------------------------------------------------------------------------ the retirement clock
def warn_of_retirement(project: Project, *, now: datetime) -> None:
    """Send notice when the model in production has 90, 30 and 7 days left, and when it has none; each once."""
    name = logs.production_model(project, since=now - timedelta(days=30), until=now)
    if name is None:
        return
    today = now.astimezone(UTC).date()
    for found in listing.retirements(project, [name], today=today):
        stage = next((days for days in sorted(_WARN_DAYS) if found.days <= days), None)
        if stage is None:
            continue
        left = f"retires in {found.days} days" if found.days > 0 else "has retired"
        told = {
            "sentence": f"{found.model}, which serves most calls, {left} ({found.on}).", "path": f"/p/{project.slug}/",
            "model": found.model, "retires": datetime.combine(found.on, time.min, tzinfo=UTC),
        }  # fmt: skip
        notifications.send(project, "model_retires", told, key=f"{found.on} {stage} {found.model}"[:120], now=now)
