"""An evaluation that a person is about to start: the models to choose from, what it would take, or why it cannot be."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from django.conf import settings

from agentopt.lib import money
from agentopt.lib.errors import AgentOptError, Conflict, GatewayError, Invalid
from evaluation import services
from evaluation.planning import Plan
from evaluation.services import EvaluationRequest
from evaluation.values import Choice
from ingestion.gateway import Gateway, GatewayModel, open_gateway
from ingestion.gateway.control import ControlPlane
from projects.models import Privacy, Project

PATIENCE_S = 4.0  # a person waits for the page
DEADLINE_S = 9.0


class PromptGateway(Gateway):
    """A gateway for one request of a page: asked once for its models, and not for long."""

    _listed: list[GatewayModel] | None = None

    def models(self) -> list[GatewayModel]:
        """Models that the key may call; errors as of the gateway it stands for."""
        if self._listed is None:
            self._listed = ControlPlane(self.endpoint, timeout_s=PATIENCE_S, deadline_s=DEADLINE_S).models()
        return self._listed


@dataclass(frozen=True)
class Refusal:
    """Why no evaluation can be planned, and the way out."""

    title: str
    text: str
    page: str  # name of the route that leads out; empty: this page again
    action: str


@dataclass(frozen=True)
class OfferRow:
    """A model to choose or not. US dollars; None and an empty text: not known."""

    choice: Choice
    is_chosen: bool
    is_open: bool  # may be ticked
    prices: str  # of a million tokens in and out
    cost_per_1000_usd: Decimal | None
    ratio: float | None  # of what the model in production costs


@dataclass(frozen=True)
class Proposal:
    """What the page of a new evaluation shows. Either there is a refusal, or there are offers; a plan may be missing
    where what is asked for makes no sense, which `problem` then says."""

    refusal: Refusal | None = None
    offers: tuple[OfferRow, ...] = ()
    suggested: tuple[str, ...] = ()
    plan: Plan | None = None
    problem: Invalid | None = None

    @property
    def n_open(self) -> int:
        """Models that may be ticked."""
        return sum(row.is_open for row in self.offers)


def gateway_of(project: Project) -> PromptGateway:
    """The project's gateway with little patience; raises Invalid where none is configured."""
    return PromptGateway(open_gateway(project.connection).endpoint)


def propose(project: Project, request: EvaluationRequest, *, now: datetime) -> Proposal:
    """Plan what is asked for, beside what the product would choose; nothing is started and nothing is paid."""
    try:
        gateway = gateway_of(project)
        usual = services.plan(project, replace(request, candidates=None), gateway=gateway, now=now)
    except (Conflict, GatewayError, Invalid) as error:
        return Proposal(_refusal(project, error))
    suggested = tuple(offer.name for offer in usual.kept)
    if request.candidates is None:
        return Proposal(None, _offers(usual, suggested), suggested, usual)
    offers = _offers(usual, request.candidates)
    try:
        own = services.plan(project, request, gateway=gateway, now=now)
    except Invalid as error:
        return Proposal(None, offers, suggested, problem=error)
    return Proposal(None, offers, suggested, own)


_PARTS = {"baseline", "use_case", "prompt_version"}  # what narrows the calls


def _refusal(project: Project, error: AgentOptError) -> Refusal:
    """Say what stands in the way, and where the way out is."""
    title, page, action = "This cannot be planned yet", "projects:settings", "Open the settings"
    text = error.message
    if _PARTS & set(error.fields):
        title, page, action = "There are no such calls", "evaluation:create", "Choose again"
        text = " ".join([text, *error.fields.values()])
    elif isinstance(error, GatewayError):
        title, page, action = "The gateway cannot be asked now", "", "Try again"
    elif {"base_url", "api_key"} & set(error.fields):
        title, action = "No gateway is set", "Connect a gateway"
    elif project.privacy == Privacy.HASHED:
        title = "Nothing can be replayed here"
    elif not project.logs.exists():
        title, page, action = "There are no calls to replay yet", "ingestion:logs", "Bring in logs"
    elif not project.judges.filter(active=True).exclude(model="").exists() and not settings.JUDGE_MODELS:
        title, action = "No judge is set", "Choose judges"
    return Refusal(title, text, page, action)


def _offers(usual: Plan, ticked: Sequence[str]) -> tuple[OfferRow, ...]:
    """Kept models by rank, then those beyond the number that is tried at once, then those that cannot be tried."""
    rows = [_row(choice, ticked) for choice in usual.choices if choice.offer.name != usual.baseline.name]
    return tuple(sorted(rows, key=lambda row: (row.choice.rank or 10**6, not row.is_open, row.choice.offer.name)))


def _row(choice: Choice, ticked: Sequence[str]) -> OfferRow:
    offer = choice.offer
    is_open = choice.kept or {reason.code for reason in choice.reasons} == {"beyond_limit"}
    cost = choice.cost_per_call_nanousd
    return OfferRow(
        choice=choice,
        is_chosen=is_open and offer.name in ticked,
        is_open=is_open,
        prices=_prices(offer.input_nanousd, offer.output_nanousd),
        cost_per_1000_usd=money.usd(None if cost is None else cost * 1000),
        ratio=next((note.numbers.get("ratio") for note in choice.notes if note.code == "expected_cost"), None),
    )


def _prices(*amounts: int | None) -> str:
    """Both prices with two digits, or as many as they have: 0.15 / 0.60, 0.0375 / 0.15."""
    known = [money.usd(amount) for amount in amounts]
    return " / ".join(_digits(usd) for usd in known if usd is not None) if None not in known else ""


def _digits(usd: Decimal) -> str:
    exponent = usd.normalize().as_tuple().exponent
    return f"{usd:,.{max(2, -exponent if isinstance(exponent, int) else 2)}f}"
