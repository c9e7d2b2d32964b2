"""Rules over stored answers: what each says, and which cases they settle before a model is asked."""

from collections.abc import Mapping, Sequence
from typing import Any

from evaluation import replay
from evaluation.judges import rules, versions
from evaluation.judges.base import Reference, Verdict
from evaluation.models import Judge, JudgeVersion, Replay, Seat


class Rules:
    """The rules that sit on a panel."""

    def __init__(self, seats: Sequence[Seat]) -> None:
        """Read the settings of those seats that are rules."""
        sitting = [seat for seat in seats if seat.judge.form == JudgeVersion.Form.RULE]
        self._own = {seat.pk: (rules.Rule(seat.version.rubric), versions.settings_of(seat.version)) for seat in sitting}
        first = [s for s in sitting if s.counts_as in (Judge.CountsAs.FIRST, Judge.CountsAs.QUALITY)]
        self._first = [self._own[seat.pk] for seat in first]

    def say(self, seat: Seat, row: Replay) -> Verdict | None:
        """What a seat scores without a model: a rule's own verdict, or one that a rule has settled; None: neither."""
        own = self._own.get(seat.pk)
        if own is None and (not self._first or seat.judge.form != JudgeVersion.Form.ANSWER):
            return None
        given = given_of(row)
        return rules.score(*own, given) if own is not None else self._settled(seat.judge.rubric, given)

    def _settled(self, rubric: str, given: rules.Given) -> Verdict | None:
        for rule, settings in self._first:
            found = rules.score(rule, settings, given)
            settled = rules.settled(rule, found)
            if settled is not None and settled[0] == rubric:
                return Verdict(settled[1], "", f"Settled by a rule, {rule.replace('_', ' ')}: {found.explanation}")
        return None


def given_of(row: Replay) -> rules.Given:
    """What rules read of an answer; its sample, record and body come with it."""
    request: Mapping[str, Any] = replay.logged_body(getattr(row.sample.record, "body", None)) or {}
    form = request.get("response_format")
    known = Reference.of(row.sample.reference)
    return rules.Given(
        asked="",  # the refusal was told when the answer came
        answer=row.answer,
        tool_calls=tuple(call for call in row.tool_calls if isinstance(call, Mapping)),
        finish_reason=row.finish_reason,
        refused=row.refused,
        response_format=form if isinstance(form, Mapping) else None,
        reference=known and known.beside(row.answer),
    )
