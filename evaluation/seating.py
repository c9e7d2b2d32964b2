"""Who judges: a project's judges, and their seats in one evaluation."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction

from agentopt.lib.errors import Conflict, Invalid
from evaluation.judges import versions
from evaluation.models import Evaluation, Judge, JudgeVersion, Seat
from evaluation.values import Offer, Panelist, Reason
from ingestion.models import ModelOffer
from projects import audit
from projects.models import Project, User

NO_JUDGES = (
    "No judge is set, so nothing could score the answers. Set judges in Settings → Judges, with "
    "PUT /api/v1/projects/{slug}/judges, or for the whole instance with JUDGE_MODELS."
)
_CHARACTERS_PER_TOKEN = 4
MARGIN = 0.05  # of a guard of the project's own, unless it names another


@dataclass(frozen=True)
class Panel:
    """The judges of an evaluation: rows (of JUDGE_MODELS: not stored yet), and what the forecast needs of them."""

    judges: tuple[Judge, ...]
    members: tuple[Panelist, ...]  # those that ask a model

    @property
    def models(self) -> frozenset[str]:
        """Gateway names of the judge models."""
        return frozenset(judge.model for judge in self.judges if judge.model)

    @property
    def families(self) -> frozenset[str]:
        """Families of the judge models, where they are known."""
        return frozenset(judge.family for judge in self.judges if judge.model and judge.family)

    @property
    def is_exact(self) -> bool:
        """Whether quality comes from judges alone that know the right answer."""
        own = [judge for judge in self.judges if _is_of_quality(judge)]
        return any(judge.exact and not judge.model for judge in own) or all(judge.exact for judge in own)

    def measured(self) -> frozenset[str]:
        """Guards that this panel and the calls themselves measure."""
        safe = any(judge.rubric == Judge.Rubric.SAFETY for judge in self.judges)
        return frozenset({"quality", "answered"} | ({"safety"} if safe else set()))

    def own_margins(self) -> dict[str, float]:
        """Margins of the guards that the project made itself, by name."""
        own = [j for j in self.judges if j.counts_as == Judge.CountsAs.GUARD and j.rubric != Judge.Rubric.SAFETY]
        return {judge.rubric: MARGIN if judge.margin is None else judge.margin for judge in own}

    def kin(self, arms: Iterable[Offer]) -> list[Reason]:
        """One reason for each judge model that shares a family with a model it judges."""
        arms = list(arms)
        found = []
        for model, family in sorted({(judge.model, judge.family) for judge in self.judges if judge.family}):
            names = sorted(arm.name for arm in arms if arm.family == family)
            if names:
                text = (
                    f"Judge {model} is of the {family} family, as are {', '.join(names)}: judges favor their own kind."
                )
                found.append(Reason("judge_family", text, {"judge": model, "family": family, "models": names}))
        return found


def read(project: Project, offers: Sequence[Offer]) -> Panel:
    """Return the project's active judges and rules; where none of them judges quality, with those of JUDGE_MODELS.

    Nothing is stored.

    Raises:
        Conflict: there are none, or none that judges quality.
    """
    by_name = {offer.name: offer for offer in offers}
    judges = list(project.judges.filter(active=True).select_related("version").order_by("model", "rubric"))
    if not any(judge.model and judge.version is None for judge in judges):
        judges += [
            Judge(
                project=project, rubric=rubric, model=model, family=_family(by_name, model), counts_as=counted(rubric),
                active=False,
            )
            for model in sorted(set(settings.JUDGE_MODELS))
            for rubric in Judge.Rubric.values
        ]  # fmt: skip
    if not judges:
        raise Conflict(NO_JUDGES.format(slug=project.slug))
    if not any(_is_of_quality(judge) for judge in judges):
        raise Conflict("No judge scores quality: add correctness, quality or helpfulness to a judge's rubrics.")
    asked = [judge for judge in judges if judge.model]
    return Panel(tuple(judges), tuple(_member(judge, by_name) for judge in asked))


def _is_of_quality(judge: Judge) -> bool:
    """Whether quality is made of it; a rule that only settles cases is not."""
    return judge.counts_as == Judge.CountsAs.QUALITY and judge.form != JudgeVersion.Form.PAIR


def seat(evaluation: Evaluation, panel: Panel) -> None:
    """Freeze judges and the versions of what they are asked into an evaluation; runs inside its transaction.

    Judges of JUDGE_MODELS get rows that are not active: the instance chose them, and may choose others.
    """
    for judge in panel.judges:
        if not judge.pk:
            fields = {"family": judge.family, "active": False, "counts_as": judge.counts_as}
            judge, _ = Judge.objects.update_or_create(  # noqa: PLW2901
                project=judge.project, model=judge.model, rubric=judge.rubric, exact=False, defaults=fields
            )
        Seat.objects.create(
            evaluation=evaluation, judge=judge, version=versions.in_force(judge), repeats=judge.repeats,
            counts_as=judge.counts_as,
        )  # fmt: skip


def set_judges(
    project: Project,
    models: Sequence[str],
    *,
    rubrics: Sequence[str] | None = None,
    exact: bool = False,
    repeats: int = 1,
    compare: bool = False,
    by: User | None = None,
) -> list[Judge]:
    """Make these models the project's judges, each by these rubrics (None: all four); earlier ones become inactive.

    A project's own judges and rules stay as they are: `library` sets them.

    Args:
        models: gateway names; empty: the judges of JUDGE_MODELS stand again.
        exact: they know the right answer, so their scores carry no judge error.
        repeats: how often each answer is judged by each.
        compare: they also compare each answer with the model in production's, in both orders, on the first prompts.

    Raises:
        Invalid: an unknown rubric, an empty name, or repeats outside 1 to 5.
        Conflict: one has sat in an evaluation as what it is not any more: exact or not.
    """
    wanted = list(Judge.Rubric.values) if rubrics is None else list(rubrics)
    _check(models, wanted, repeats=repeats)
    seated = Seat.objects.filter(judge__project=project, judge__model__in=models, judge__rubric__in=wanted)
    if seated.exclude(judge__exact=exact).exists():
        raise Conflict("Evaluations rest on these judges being exact or not, so that cannot change: use another name.")
    with transaction.atomic():
        standing = project.judges.filter(version=None)
        before = sorted({judge.model for judge in standing.filter(active=True)})
        standing.update(active=False)
        for model in models:
            row = project.offers.filter(name=model).first() or instance_offer(model)
            fields = {"family": row.family if row else "", "repeats": repeats, "exact": exact, "active": True}
            for rubric in wanted:
                Judge.objects.update_or_create(
                    project=project, model=model, rubric=rubric, defaults={**fields, "counts_as": counted(rubric)}
                )
            if compare:
                Judge.objects.update_or_create(
                    project=project, model=model, rubric=versions.PREFERENCE,
                    defaults={
                        **fields, "exact": False, "form": JudgeVersion.Form.PAIR, "counts_as": Judge.CountsAs.SHOWN
                    },
                )  # fmt: skip
        audit.record(project, by, "judges.set", before={"models": before}, after={"models": sorted(set(models))})
    return list(project.judges.filter(active=True, version=None).order_by("model", "rubric"))


def counted(rubric: str) -> str:
    """What a rubric of the product counts as: safety is a guard, the others are part of quality."""
    return Judge.CountsAs.GUARD if rubric == Judge.Rubric.SAFETY else Judge.CountsAs.QUALITY


def _check(models: Sequence[str], wanted: Sequence[str], *, repeats: int) -> None:
    wrong = {}
    unknown = [rubric for rubric in wanted if rubric not in Judge.Rubric.values]
    if unknown or not wanted:
        wrong["rubrics"] = f"Expected some of {', '.join(Judge.Rubric.values)}."
    if any(not model.strip() or len(model) > 160 for model in models):
        wrong["models"] = "Expected gateway names of at most 160 characters."
    if not 1 <= repeats <= 5:
        wrong["repeats"] = "Expected a whole number from 1 to 5."
    if wrong:
        raise Invalid("The judges do not make sense: " + " ".join(wrong.values()), fields=wrong)


def _member(judge: Judge, offers: Mapping[str, Offer]) -> Panelist:
    return Panelist(
        model=judge.model,
        rubric=judge.rubric,
        repeats=judge.repeats,
        exact=judge.exact,
        family=judge.family,
        prompt_tokens=len(versions.in_force(judge).text) // _CHARACTERS_PER_TOKEN,
        offer=offers.get(judge.model),
        compares=judge.form == JudgeVersion.Form.PAIR,
    )


def _family(offers: Mapping[str, Offer], model: str) -> str:
    return offers[model].family if model in offers else ""


def instance_offer(model: str) -> ModelOffer | None:
    return ModelOffer.objects.filter(project__isnull=True, name=model).first()
