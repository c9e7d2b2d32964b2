"""A project's judges as a library: its own rubrics and rules, and every version of what a judge is asked."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Count, Max, Q

from agentopt.lib.errors import Invalid, NotFound
from evaluation import diffs, seating
from evaluation.judges import rules, versions
from evaluation.judges.rules import Rule
from evaluation.models import Judge, JudgeVersion, Seat, Verdict
from projects import audit
from projects.models import Project, User
from projects.values import GUARDS, LIMITS, METRICS

_NAME = re.compile(r"[a-z][a-z0-9_-]{1,29}")
LONGEST_TEXT, SHORTEST_TEXT = 20_000, 40
MOST_REPEATS = 5
# A guard's name stands beside the decision's own metrics, and an address beside those of rubrics and rules.
_TAKEN = frozenset(
    {
        *Judge.Rubric.values,
        versions.PREFERENCE,
        *Rule,
        *GUARDS,
        *METRICS,
        *LIMITS,
        "gain",
        "value",
        "new",
        "rules",
        "own",
        "accuracy",
        "anchors",
    }
)
_OWN_ROLES = (Judge.CountsAs.QUALITY, Judge.CountsAs.GUARD, Judge.CountsAs.SHOWN)


@dataclass(frozen=True)
class OwnJudge:
    """A judge as a project writes it: what it is asked, on which scale, by which model, and what its score counts as.

    margin: of a guard, how much worse it may get, in shares of the scale.
    """

    name: str
    text: str
    lowest: float
    highest: float
    model: str
    counts_as: str = Judge.CountsAs.SHOWN
    margin: float | None = None
    repeats: int = 1

    def check(self) -> None:
        """Raise Invalid that names every field that makes no sense."""
        wrong = {}
        if not _NAME.fullmatch(self.name) or self.name in _TAKEN:
            wrong["name"] = "Expected 2 to 30 small letters, digits and dashes, and no name that is taken already."
        if not SHORTEST_TEXT <= len(self.text.strip()) <= LONGEST_TEXT:
            wrong["text"] = f"Expected a rubric of {SHORTEST_TEXT} to {LONGEST_TEXT} characters."
        if not -1000 <= self.lowest < self.highest <= 1000:
            wrong["highest"] = "Expected lowest < highest, both from -1000 to 1000."
        if not self.model.strip() or len(self.model) > 160:
            wrong["model"] = "Expected a gateway name of at most 160 characters."
        if self.counts_as not in _OWN_ROLES:
            wrong["counts_as"] = f"Expected one of {', '.join(_OWN_ROLES)}."
        if not 1 <= self.repeats <= MOST_REPEATS:
            wrong["repeats"] = f"Expected a whole number from 1 to {MOST_REPEATS}."
        wrong |= _wrong_margin(self.margin)
        if wrong:
            raise Invalid("The judge does not make sense: " + " ".join(wrong.values()), fields=wrong)


def _wrong_margin(margin: float | None) -> dict[str, str]:
    return {} if margin is None or 0.001 <= margin <= 1 else {"margin": "Expected a number from 0.001 to 1."}


# ------------------------------------------------------------------------------------------------ changes
def save_own(project: Project, wanted: OwnJudge, *, by: User | None) -> Judge:
    """Put a judge of the project's own in force; another text or scale becomes a new version, the old ones stay.

    Raises:
        Invalid: a field makes no sense.
    """
    wanted.check()
    row = project.offers.filter(name=wanted.model).first() or seating.instance_offer(wanted.model)
    with transaction.atomic():
        version = versions.own(project, wanted.name, wanted.text, lowest=wanted.lowest, highest=wanted.highest)
        project.judges.filter(rubric=wanted.name).exclude(model=wanted.model).update(active=False)
        fields = {
            "family": row.family if row else "", "repeats": wanted.repeats, "counts_as": wanted.counts_as,
            "margin": wanted.margin, "version": version, "active": True,
        }  # fmt: skip
        judge, _ = Judge.objects.update_or_create(
            project=project, rubric=wanted.name, model=wanted.model, defaults=fields
        )
        after = {"model": wanted.model, "version": version.text_hash[:12], "counts_as": wanted.counts_as}
        audit.record(project, by, "judges.own", wanted.name, after=after)
    return judge


def set_rule(
    project: Project, rule: str, settings: Mapping[str, Any], *, counts_as: str, margin: float | None = None,
    by: User | None,
) -> Judge:  # fmt: skip
    """Put a rule in force for the project, with these settings.

    Args:
        counts_as: "quality" of rules that know the right answer: they are quality alone. "first": it settles cases.

    Raises:
        Invalid: there is no such rule, or a setting makes no sense.
    """
    known = _rule(rule)
    checked = rules.check(known, settings)
    if counts_as not in roles(known):
        said = f"Expected one of {', '.join(roles(known))}."
        raise Invalid(f"The rule cannot count as {counts_as or 'nothing'}: {said}", fields={"counts_as": said})
    wrong = _wrong_margin(margin)
    if wrong:
        raise Invalid("The rule does not make sense: " + " ".join(wrong.values()), fields=wrong)
    with transaction.atomic():
        version = versions.rule(project, known, checked)
        fields = {
            "form": JudgeVersion.Form.RULE, "counts_as": counts_as, "margin": margin, "version": version,
            "exact": known in rules.EXACT, "active": True,
        }  # fmt: skip
        judge, _ = Judge.objects.update_or_create(project=project, rubric=known, model="", defaults=fields)
        audit.record(project, by, "judges.rule", known, after={"settings": checked, "counts_as": counts_as})
    return judge


def roles(rule: Rule) -> list[str]:
    """What a rule may count as; the first is what suits it best."""
    settling = [Judge.CountsAs.FIRST] if rule in rules.SETTLING else []
    alone = [Judge.CountsAs.QUALITY] if rule in rules.EXACT else []
    return [*settling, *alone, Judge.CountsAs.GUARD, Judge.CountsAs.SHOWN]


def retire(project: Project, name: str, *, by: User | None) -> None:
    """Take an own judge or a rule out of force; its versions and verdicts stay.

    Raises:
        NotFound: none of this name is in force.
    """
    with transaction.atomic():
        n = project.judges.filter(rubric=name, active=True, version__isnull=False).update(active=False)
        if not n:
            raise NotFound(f"No judge or rule of the project's own called {name} is in force.")
        audit.record(project, by, "judges.retire", name)


def _rule(name: str) -> Rule:
    try:
        return Rule(name)
    except ValueError as error:
        raise NotFound(f"There is no rule {name}. There are: {', '.join(Rule)}.") from error


# ------------------------------------------------------------------------------------------------ reads
@dataclass(frozen=True)
class Entry:
    """One judge of the library, with how its verdicts fared in all evaluations of the project."""

    name: str
    kind: str  # product, own or rule
    form: str  # answer, pair or rule
    models: tuple[str, ...]  # in force
    counts_as: str
    margin: float | None
    repeats: int
    is_active: bool
    version: str  # hash of what it is asked now; empty: a rule that was never set
    versions: int
    verdicts: int
    unscored: int
    settings: dict[str, Any]  # of a rule


def entries(project: Project) -> list[Entry]:
    """The product's rubrics, the project's own judges, then all rules; each as it stands now."""
    judges = list(project.judges.select_related("version").order_by("rubric", "model"))
    counts = _counts(project)
    ours = dict(
        project.judge_versions.values_list("rubric").annotate(n=Count("pk")).order_by()
    )  # fmt: skip
    named = sorted({j.rubric for j in judges if j.version is not None and j.form != JudgeVersion.Form.RULE})
    asked = [*Judge.Rubric.values, versions.PREFERENCE]
    filed = history_of_files(*asked)
    found = [_entry(name, "product", judges, counts, n=0, filed=filed) for name in asked]
    found += [_entry(name, "own", judges, counts, n=ours.get(name, 0), filed=filed) for name in named]
    return found + [_entry(rule.value, "rule", judges, counts, n=ours.get(rule.value, 0), filed=filed) for rule in Rule]


def _counts(project: Project) -> dict[str, tuple[int, int]]:
    rows = Verdict.objects.filter(replay__sample__evaluation__project=project).values_list("judge__rubric")
    found = rows.annotate(n=Count("pk"), unscored=Count("pk", Q(score__isnull=True))).order_by()
    return {rubric: (n, unscored) for rubric, n, unscored in found}


def _entry(
    name: str, kind: str, judges: Sequence[Judge], counts: Mapping[str, tuple[int, int]], *, n: int,
    filed: list[JudgeVersion],
) -> Entry:  # fmt: skip
    own = [judge for judge in judges if judge.rubric == name]
    now = [judge for judge in own if judge.active]
    last = next(iter(now or own), None)
    version = _now(name, kind, last, filed)
    form = version.form if version is not None else JudgeVersion.Form.RULE
    settled = kind == "rule" and version is not None
    return Entry(
        name=name,
        kind=kind,
        form=form,
        models=tuple(judge.model for judge in now if judge.model),
        counts_as=last.counts_as if last is not None else seating.counted(name) if kind == "product" else "",
        margin=last.margin if last is not None else None,
        repeats=last.repeats if last is not None else 1,
        is_active=bool(now),
        version=version.text_hash[:12] if version is not None else "",
        versions=n or sum(one.rubric == name for one in filed) if kind == "product" else n,
        verdicts=counts.get(name, (0, 0))[0],
        unscored=counts.get(name, (0, 0))[1],
        settings=versions.settings_of(version) if settled and version is not None else {},
    )


def _now(name: str, kind: str, judge: Judge | None, filed: list[JudgeVersion]) -> JudgeVersion | None:
    if judge is not None:
        return versions.in_force(judge, filed)
    return versions.of_file(name, filed) if kind == "product" else None


def history_of_files(*rubrics: str) -> list[JudgeVersion]:
    """Versions of rubrics of the product, the newest first."""
    return list(JudgeVersion.objects.filter(project=None, rubric__in=rubrics).order_by("-pk"))


@dataclass(frozen=True)
class Edition:
    """One version of what a judge is asked, and where it was used in this project."""

    hash: str
    text: str
    lowest: float
    highest: float
    created_at: datetime
    verdicts: int
    last_used: int | None  # number of the newest evaluation with it
    is_in_force: bool


def history(project: Project, name: str) -> list[Edition]:
    """Every version of a judge that this project may see, the newest first.

    Raises:
        NotFound: there is no such judge or rule here.
    """
    is_of_file = name in Judge.Rubric.values or name == versions.PREFERENCE
    rows = history_of_files(name) if is_of_file else list(project.judge_versions.filter(rubric=name).order_by("-pk"))
    if is_of_file and not rows:
        rows = [versions.of_file(name)]
    if not rows:
        raise NotFound(f"There is no judge or rule {name} in this project.")
    judge = project.judges.filter(rubric=name).select_related("version").order_by("-active", "-pk").first()
    now = _now(name, "product" if is_of_file else "", judge, list(rows))
    mine = Verdict.objects.filter(replay__sample__evaluation__project=project, version__in=rows)
    counts = dict(mine.values_list("version").annotate(n=Count("pk")).order_by())
    seats = Seat.objects.filter(evaluation__project=project, version__in=rows).values_list("version")
    used = dict(seats.annotate(last=Max("evaluation__number")).order_by())
    return [
        Edition(
            row.text_hash[:12], row.text, row.lowest, row.highest, row.created_at, counts.get(row.pk, 0),
            used.get(row.pk), now is not None and row.pk == now.pk,
        )
        for row in rows
    ]  # fmt: skip


def difference(editions: Sequence[Edition], *, before: str, after: str) -> diffs.Diff | None:
    """What changed between two of the versions, by lines; None where one of them is not there."""
    by_hash = {edition.hash: edition for edition in editions}
    if before not in by_hash or after not in by_hash:
        return None
    return diffs.compare(by_hash[before].text, by_hash[after].text, mode="lines")


def own_judge(project: Project, name: str) -> OwnJudge:
    """An own judge as it stands, to be edited.

    Raises:
        NotFound: there is none of this name.
    """
    rows = project.judges.filter(rubric=name, version__isnull=False).exclude(form=JudgeVersion.Form.RULE)
    row = rows.select_related("version").order_by("-active", "-pk").first()
    if row is None or row.version is None:
        raise NotFound(f"The project has no judge {name} of its own.")
    return OwnJudge(
        name, versions.bare(row.version), row.version.lowest, row.version.highest, row.model, row.counts_as,
        row.margin, row.repeats,
    )  # fmt: skip


def rule_of(project: Project, name: str) -> tuple[Rule, Judge | None]:
    """A rule, and how the project has set it; None: not yet.

    Raises:
        NotFound: there is no such rule.
    """
    found = _rule(name)
    return found, project.judges.filter(rubric=found, model="").select_related("version").first()
