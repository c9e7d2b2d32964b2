"""Have judges look at samples of what production answered: for drift of quality, and for the verdict on a switch.

It has a rate (calls a day) and a hard cap (dollars a month) of its own, and is off until a person sets both; the cap
of the project holds besides. Of each day's calls those with the smallest keys are drawn: keys are keyed hashes, so the
draw depends on nothing that was said, and is the same when it is made again.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Exists, OuterRef, Sum

from agentopt.lib import money, wording
from evaluation import adaptation, calls, judging, logged, offers, receivers, references, replay, seating
from evaluation.judges import rubric, rules, versions
from evaluation.judges.base import Case, Reference, Unscored
from evaluation.models import Charge, Judge, JudgeVersion, Replay, Sample
from evaluation.purse import Purse, month_of
from evaluation.ruling import given_of
from ingestion.catalog import pricing
from ingestion.gateway import ChatRequest, Gateway
from ingestion.models import LogRecord, RemovedBody
from ingestion.values import Price, Usage
from projects.models import Privacy, Project
from recommendations.models import ProductionVerdict

WINDOW = timedelta(hours=24)
_AT_ONCE = 50
_CHARACTERS_PER_TOKEN, _REPLY_TOKENS = 4, 200  # rough, only to keep the cap
_CONCURRENCY = 4  # nobody waits for it
_COUNTED = (Judge.CountsAs.QUALITY, Judge.CountsAs.GUARD)


@dataclass(frozen=True)
class Judged:
    """What a slice came to."""

    calls: int  # of production that were looked at
    verdicts: int
    stopped: str  # "", at_cap, deadline or unreachable
    text: str

    @property
    def finished(self) -> bool:
        """Whether nothing is left that could be done now."""
        return self.stopped != calls.End.DEADLINE


@dataclass(frozen=True)
class _Place:
    """One verdict to be made."""

    record: LogRecord
    judge: Judge
    version: JudgeVersion
    row: Replay  # never stored: the logged answer in the form that judges are shown

    def case(self) -> Case:
        request = replay.logged_body(self.record.body) or {"messages": []}
        said = {"role": "assistant", "content": self.row.answer, "tool_calls": self.row.tool_calls}
        return rubric.case(request, said, reference=Reference.of(self.row.sample.reference))


def why_not(project: Project, now: datetime) -> str | None:
    """Why no sample is judged now; None: some may be."""
    if project.judging_per_day is None or project.judging_cap_nanousd is None:
        return "It is off: set how many calls a day, and a cap per month, under Settings, Schedules."
    if project.privacy == Privacy.HASHED:
        return "Nothing of prompts and answers is kept in the privacy mode hashed."
    panel = _panel(project)
    if not panel:
        return "There are no judges: choose some under Settings, Judges."
    barred = receivers.barred(project, [judge_.model for judge_, _ in panel.values() if judge_.model])
    if barred is not None:
        return barred.text
    if spent_nanousd(project, now=now) >= project.judging_cap_nanousd:
        return f"The cap per month of {wording.dollars(money.usd(project.judging_cap_nanousd), 2)} is used up."
    return None


def spent_nanousd(project: Project, *, now: datetime) -> int:
    """What judging of production samples cost in the present calendar month (UTC)."""
    month = Charge.objects.filter(project=project, kind=Charge.Kind.PRODUCTION, at__gte=month_of(now))
    return int(month.aggregate(sum=Sum("nanousd"))["sum"] or 0)


def judge(
    project: Project, *, gateway: Gateway, now: Callable[[], datetime], deadline: float, beat: Callable[..., object]
) -> Judged:
    """Draw what is due by now of the day's samples and have each judged once; safe to kill and to run again."""
    at = now()
    why = why_not(project, at)
    if why is not None or project.judging_cap_nanousd is None:
        return Judged(0, 0, "", why or "")
    panel = _panel(project)
    places = list(_places(project, _drawn(project, panel, now=at), panel))
    ruled = [(place, _by_rule(place)) for place in places if place.judge.form == JudgeVersion.Form.RULE]
    ProductionVerdict.objects.bulk_create(
        [_row(place, at, score=said.score, reason=said.reason) for place, said in ruled], ignore_conflicts=True
    )
    asked = [place for place in places if place.judge.form == JudgeVersion.Form.ANSWER]
    spent = spent_nanousd(project, now=at)
    run = _Run(project, replay.read_prices(project, now=at), _forms(project, panel, now=at), now)

    def alive() -> bool:
        beat(done=run.stored)
        return True

    with (
        Purse(project, None, now, block=2 * _CONCURRENCY, kind=Charge.Kind.PRODUCTION) as purse,
        gateway.chat(in_flight=_CONCURRENCY) as session,
    ):
        limits = calls.Limits(
            cap_nanousd=project.judging_cap_nanousd, spent_nanousd=spent, deadline=deadline, beat=alive,
            concurrency=_CONCURRENCY, purse=purse,
        )  # fmt: skip
        ended = calls.send(session, run.asks(asked), store=run.store, cost=run.cost, limits=limits)
    return _said(len({place.record.pk for place in places}), len(ruled) + run.stored, ended.end)


def _said(n: int, verdicts: int, end: calls.End) -> Judged:
    stopped = "" if end == calls.End.DONE else str(end)
    why = {"at_cap": " It stopped at a cap.", "unreachable": " No judge could be reached."}.get(stopped, "")
    return Judged(n, verdicts, stopped, f"{verdicts} verdicts on {n} calls.{why}")


# ------------------------------------------------------------------------------------------------ the draw
def _panel(project: Project) -> dict[int, tuple[Judge, JudgeVersion]]:
    """The judges whose scores count, each with what it is asked now."""
    known = offers.read(project, today=datetime.now(UTC).date(), listed=None)
    chosen = [one for one in seating.read(project, known).judges if one.counts_as in _COUNTED]
    stored = {(one.model, one.rubric): one for one in project.judges.all()}
    rows = [one if one.pk else stored.get((one.model, one.rubric)) for one in chosen]
    kept = [row for row in rows if row is not None and row.form != JudgeVersion.Form.PAIR]
    return {row.pk: (row, versions.in_force(row)) for row in kept}


def _drawn(project: Project, panel: Mapping[int, tuple[Judge, JudgeVersion]], *, now: datetime) -> list[int]:
    """Records to be judged: those that were begun today, and as many new ones as are due by this hour."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    mine = ProductionVerdict.objects.filter(project=project)
    counts = dict(mine.filter(at__gte=midnight).values_list("record").annotate(n=Count("judge", distinct=True)))
    begun = [record for record, n in counts.items() if n < len(panel)]
    share = (now - midnight) / timedelta(days=1)
    due = math.ceil((project.judging_per_day or 0) * share) - len(counts)
    if due <= 0:
        return begun
    seen, gone = mine.filter(record=OuterRef("pk")), RemovedBody.objects.filter(record=OuterRef("pk"))
    fresh = (
        LogRecord.objects.filter(project=project, occurred_at__gte=now - WINDOW, occurred_at__lt=now)
        .newest()
        .filter(~Exists(seen), ~Exists(gone), status=LogRecord.Status.OK, obstacle="", body__isnull=False)
    )
    return [*begun, *fresh.order_by("key").values_list("pk", flat=True)[:due]]


def _places(
    project: Project, records: Sequence[int], panel: Mapping[int, tuple[Judge, JudgeVersion]]
) -> Iterator[_Place]:
    have = set(ProductionVerdict.objects.filter(record__in=records).values_list("record_id", "judge_id", "version_id"))
    known = references.read(project, records)
    for start in range(0, len(records), _AT_ONCE):
        rows = LogRecord.objects.filter(pk__in=records[start : start + _AT_ONCE], body__isnull=False)
        for record in rows.select_related("body").order_by("key"):
            sample = Sample(record=record, reference=known.get(record.pk) or {})
            row = logged.answered(sample, None, record, record.body.response, key=project.hash_key)
            for judge_, version in panel.values():
                if row.status == Replay.Status.ANSWERED and (record.pk, judge_.pk, version.pk) not in have:
                    yield _Place(record, judge_, version, row)


def _by_rule(place: _Place) -> Any:
    return rules.score(rules.Rule(place.version.rubric), json.loads(place.version.text), given_of(place.row))


def _forms(project: Project, panel: Mapping[int, tuple[Judge, JudgeVersion]], *, now: datetime) -> Mapping[str, str]:
    return judging.reply_forms(project, {judge_.model for judge_, _ in panel.values() if judge_.model}, now=now)


# ------------------------------------------------------------------------------------------------ asking
@dataclass
class _Run:
    """One pass over what waits."""

    project: Project
    prices: Mapping[str, Price]
    forms: Mapping[str, str]
    now: Callable[[], datetime]
    stored: int = field(default=0)

    def asks(self, places: Sequence[_Place]) -> Iterator[calls.Ask[_Place]]:
        for place in places:
            model = place.judge.model
            body = rubric.body(place.version, place.case(), repetition=0, form=self.forms.get(model, ""))
            request = ChatRequest(
                model=model,
                body=adaptation.adapt(body, adaptation.Target(model)).body,
                trace_id=f"agentopt-production-{place.record.pk}-j{place.judge.pk}",
                metadata={"agentopt": "judge", "rubric": place.judge.rubric, "of": "production"},
                timeout_s=settings.CALL_TIMEOUT_S,
                provider=model.removeprefix("@").partition("/")[0],
            )
            yield calls.Ask(place, request, self._estimate(model, body))

    def _estimate(self, model: str, body: Mapping[str, Any]) -> int | None:
        price = self.prices.get(model)
        asked = sum(len(message["content"]) for message in body["messages"]) // _CHARACTERS_PER_TOKEN
        return pricing.cost_nanousd(Usage(asked, _REPLY_TOKENS, None), price) if price is not None else None

    def cost(self, finished: calls.Finished[_Place]) -> int | None:
        return replay.cost_of(finished.reply, self.prices.get(finished.about.judge.model))

    def store(self, batch: list[calls.Finished[_Place]]) -> None:
        """Write what came back, in the transaction that charges for it."""
        rows = [self._finished(one) for one in batch]
        ProductionVerdict.objects.bulk_create(rows, ignore_conflicts=True)
        self.stored += len(rows)

    def _finished(self, finished: calls.Finished[_Place]) -> ProductionVerdict:
        place, reply = finished.about, finished.reply
        told = {"calls": max(1, finished.calls), "cost_nanousd": self.cost(finished)}
        if reply is None:
            simulated = bool(getattr(finished.error, "simulated", False))
            return _row(place, self.now(), score=None, reason=Unscored.UNAVAILABLE, simulated=simulated, **told)
        said = rubric.read(place.version, reply.text, finish_reason=reply.finish_reason, refusal=reply.refusal)
        return _row(place, self.now(), score=said.score, reason=said.reason, simulated=reply.simulated, **told)


def _row(place: _Place, at: datetime, *, score: float | None, reason: str, **more: Any) -> ProductionVerdict:
    return ProductionVerdict(
        project_id=place.record.project_id, record=place.record, judge=place.judge, version=place.version,
        score=score, reason=reason, at=at, **more,
    )  # fmt: skip
