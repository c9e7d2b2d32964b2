"""The rules of a project: those it starts with, and how people change them. Numpy stays out."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from agentopt.lib.errors import Invalid
from projects import audit
from projects.models import Project, User
from recommendations.drift.models import DriftRule, DriftSeries, DriftWatch
from recommendations.drift.series import DEFAULT_RULES, METRICS, MOST_PARTS

FIELDS = (
    "metric", "scope", "scope_value", "direction", "least", "min_conversations", "quiet_hours", "reference",
    "reference_days", "pinned_since", "pinned_until", "active",
)  # fmt: skip
LEARNS_FROM = ("scope", "scope_value", "metric", "least", "reference", "reference_days", "pinned_since", "pinned_until")
MOST_RULES = 50


def ensure(project: Project) -> None:
    """Give a project that was never watched its first rules: one for each metric, over all conversations."""
    if DriftWatch.objects.filter(project=project).exists():
        return
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        if DriftWatch.objects.filter(project=project).exists():
            return
        DriftWatch.objects.create(project=project)
        DriftRule.objects.bulk_create(DriftRule(project=project, metric=metric) for metric in DEFAULT_RULES)


def n_series(rules: list[DriftRule]) -> int:
    """Over how many series the false alarms are shared out; the mix counts with the most it may have."""
    views = (MOST_PARTS if rule.metric == "mix" else len(METRICS[rule.metric].views) for rule in rules if rule.active)
    return max(1, sum(views))


def create(project: Project, terms: Mapping[str, Any], *, by: User | None) -> DriftRule:
    """Add a rule.

    Raises:
        Invalid: a term makes no sense, or there are too many rules.
    """
    ensure(project)
    if project.drift_rules.count() >= MOST_RULES:
        raise Invalid(f"A project has at most {MOST_RULES} rules: more make each of them slower to tell.")
    rule = DriftRule(project=project, created_by=by, **{name: terms[name] for name in FIELDS if name in terms})
    refuse_nonsense(rule)
    with transaction.atomic():
        rule.save()
        audit.record(project, by, "drift_rule.create", f"rule {rule.pk}", after=terms_of(rule))
    return rule


def change(rule: DriftRule, terms: Mapping[str, Any], *, by: User | None) -> DriftRule:
    """Change a rule; what it learnt stays unless it now looks at something else.

    Raises:
        Invalid: a term makes no sense.
    """
    before = terms_of(rule)
    for name in FIELDS:
        if name in terms:
            setattr(rule, name, terms[name])
    refuse_nonsense(rule)
    with transaction.atomic():
        rule.save()
        after = terms_of(rule)
        if any(before[name] != after[name] for name in LEARNS_FROM):
            DriftSeries.objects.filter(rule=rule).delete()
        audit.record(rule.project, by, "drift_rule.change", f"rule {rule.pk}", before=before, after=after)
    return rule


def delete(rule: DriftRule, *, by: User | None) -> None:
    """Remove a rule; its alerts stay."""
    with transaction.atomic():
        audit.record(rule.project, by, "drift_rule.delete", f"rule {rule.pk}", before=terms_of(rule))
        rule.delete()


def set_false_alarms(project: Project, a_year: float, *, by: User | None) -> None:
    """How often the project may be alarmed for nothing.

    Raises:
        Invalid: below one in ten years or above two a month.
    """
    if not 0.1 <= a_year <= 24:
        raise Invalid("From 0.1 to 24 a year.", fields={"false_alarms": "From 0.1 to 24 a year."})
    ensure(project)
    with transaction.atomic():
        watch = DriftWatch.objects.select_for_update().get(project=project)
        before, after = {"a_year": watch.false_alarms}, {"a_year": a_year}
        audit.record(project, by, "drift.false_alarms", before=before, after=after)
        DriftWatch.objects.filter(pk=watch.pk).update(false_alarms=a_year)


def terms_of(rule: DriftRule) -> dict[str, Any]:
    """The terms of a rule as the API shows them and the audit keeps them."""
    found = {name: getattr(rule, name) for name in FIELDS}
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in found.items()}


def refuse_nonsense(rule: DriftRule) -> None:
    """Check what a rule means.

    Raises:
        Invalid: names the fields.
    """
    wrong = dict(_wrong_subject(rule)) | {name: text for name, (fits, text) in _limits(rule).items() if not fits}
    if wrong:
        raise Invalid("The rule does not make sense.", fields=wrong)


def _wrong_subject(rule: DriftRule) -> Iterator[tuple[str, str]]:
    if rule.metric not in METRICS:
        yield "metric", f"One of {', '.join(METRICS)}."
    if rule.metric == "mix" and rule.scope == "use_case":
        yield "scope", "The mix of use cases is watched over all of them."
    known = rule.project.use_cases.values_list("pk", flat=True)
    if rule.scope == "use_case" and rule.scope_value and rule.scope_value not in map(str, known):
        yield "scope_value", "The project has no such use case: name it by its id."
    if bool(rule.scope) != bool(rule.scope_value):
        yield "scope_value", "Say which one, or leave both empty for all conversations."


def _limits(rule: DriftRule) -> dict[str, tuple[bool, str]]:
    """Whether each number fits, and what was expected."""
    is_amount = len(METRICS.get(rule.metric, METRICS["latency"]).views) > 1
    since, until = rule.pinned_since, rule.pinned_until
    pinned = since is not None and until is not None and (until - since).days >= 7
    return {
        "least": (
            rule.least is None or 0 < rule.least <= (5 if is_amount else 0.5),
            "A share of 1: 0.05 is 5 %, or 5 points of a rate.",
        ),
        "reference_days": (7 <= rule.reference_days <= 90, "From 7 to 90 days."),
        "min_conversations": (30 <= rule.min_conversations <= 1_000_000, "From 30 to 1,000,000."),
        "quiet_hours": (0 <= rule.quiet_hours <= 24 * 90, "At most 90 days."),
        "pinned_since": (
            rule.reference != DriftRule.Kind.PINNED or pinned,
            "A pinned reference needs two dates at least seven days apart.",
        ),
    }


def newest_check(project: Project) -> datetime | None:
    """When the project was last checked."""
    return DriftWatch.objects.filter(project=project).values_list("checked_at", flat=True).first()
