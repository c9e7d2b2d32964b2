"""Ask the ranking model: once for each question, within the caps, and never at the cost of an evaluation."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from agentopt.lib.errors import GatewayError
from evaluation import ranking, replay
from evaluation.models import Charge, Opinion
from evaluation.purse import Purse, Settled
from evaluation.ranking import Profile, Ranking
from evaluation.values import Reason
from ingestion.catalog import pricing
from ingestion.gateway import ChatReply, ChatRequest, Gateway
from ingestion.values import Usage
from projects.models import Project

_CHARACTERS_PER_TOKEN = 4
_LATER = "it is asked when the evaluation is started"


@dataclass(frozen=True)
class Asker:
    """Who may pay for an opinion: a gateway, the moment, and the cap of the evaluation it is for."""

    gateway: Gateway
    now: Callable[[], datetime]
    cap_nanousd: int


def of(project: Project, asked: Profile, *, by: Asker | None) -> Ranking | Reason | None:
    """Return the ranking model's view, or why there is none; None: no such model is set.

    Args:
        by: None: only an answer that was paid before is used.
    """
    model = settings.RANKING_MODEL
    if not model or len(asked.candidates) < 2:
        return None
    body = ranking.body(asked)
    question = json.dumps([ranking.VERSION, model, body], sort_keys=True)
    key = hashlib.sha256(question.encode()).hexdigest()  # aggregates and catalogue names: nothing private to guess
    row = project.opinions.filter(key=key).first()
    if row is None and by is None:
        return ranking.absent(model, _LATER)
    if row is None and by is not None:
        answered = _ask(project, model, ChatRequest(
            model=model, body=body, trace_id=f"agentopt-ranking-{key[:24]}", metadata={"agentopt": "ranking"},
            timeout_s=settings.CALL_TIMEOUT_S,
        ), by=by)  # fmt: skip
        if isinstance(answered, Reason):
            return answered
        # of two that asked at once, the first answer stands for both
        defaults = {"model": model, "text": answered.text, "simulated": answered.simulated}
        row, _ = Opinion.objects.get_or_create(project=project, key=key, defaults=defaults)
    assert row is not None  # noqa: S101
    names = {candidate.name for candidate in asked.candidates}
    return ranking.read(row.text, names, model=model, simulated=row.simulated)


def _ask(project: Project, model: str, request: ChatRequest, *, by: Asker) -> ChatReply | Reason:
    price = replay.read_prices(project, now=by.now()).get(model)
    asked = len(json.dumps(request.body)) // _CHARACTERS_PER_TOKEN
    usage = Usage(asked, int(request.body["max_tokens"]))
    estimate = (pricing.cost_nanousd(usage, price) if price is not None else None) or 0
    with Purse(project, None, by.now, block=1, kind=Charge.Kind.RANKING) as purse:
        if estimate > by.cap_nanousd or not purse.take(estimate):
            return ranking.absent(model, "the cap has no room for its call")
        reply: ChatReply | None = None
        why, calls = "", 0
        try:
            with by.gateway.chat(in_flight=1) as session:
                reply = session.submit(request).result()
            calls = reply.calls
        except GatewayError as error:
            why, calls = error.code, int(getattr(error, "calls", 0))
        cost = replay.cost_of(reply, price)
        is_unpriced = reply is not None and cost is None
        purse.settle([Settled(estimate, cost or 0, calls, is_unpriced=is_unpriced)])
    return reply if reply is not None else ranking.absent(model, f"its call failed: {why}")
