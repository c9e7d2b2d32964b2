"""Who may receive prompts: a project's list of providers holds for candidates, judges and the model in production."""

from collections.abc import Collection, Iterable, Mapping

from evaluation.models import Candidate, Evaluation
from evaluation.values import Reason
from ingestion.models import ModelOffer
from projects.models import Project

_GONE = (Candidate.State.PRUNED, Candidate.State.DROPPED, Candidate.State.DROPPED_AT_RANKING)


def barred(project: Project, models: Iterable[str]) -> Reason | None:
    """Say which of the models that would be sent prompts are of a provider that may not have them; None: none is."""
    allowed = Project.objects.values_list("allowed_providers", flat=True).get(pk=project.pk)
    names = sorted(set(models))
    if not allowed or not names:
        return None
    rows = ModelOffer.objects.filter(name__in=names)
    # the project's own come last and stand
    known = [*rows.filter(project__isnull=True), *rows.filter(project=project)]
    return _reason(names, {row.name: row.provider for row in known}, allowed)


def barred_of(evaluation: Evaluation) -> Reason | None:
    """The same of an evaluation that goes on: who is still asked, and its judges."""
    arms = evaluation.candidates.exclude(state__in=_GONE)
    if not evaluation.repeating().calls_baseline:
        arms = arms.exclude(position=0)
    judges = evaluation.seats.exclude(judge__model="").values_list("judge__model", flat=True)
    return barred(evaluation.project, [*arms.values_list("offer__name", flat=True), *judges])


def _reason(names: Iterable[str], providers: Mapping[str, str], allowed: Collection[str]) -> Reason | None:
    wrong = {name: providers.get(name, "") for name in names if providers.get(name, "") not in allowed}
    if not wrong:
        return None
    told = ", ".join(f"{name} ({provider or 'provider not known'})" for name, provider in wrong.items())
    text = (
        f"Prompts would go to {told}, and this project lets only {', '.join(sorted(allowed))} receive them. Choose "
        "other models or judges, or allow the provider under Settings, Limits (allowed_providers)."
    )
    return Reason("provider_not_allowed", text, {"models": list(wrong)})
