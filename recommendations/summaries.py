"""Have a model retell a recommendation: paid within the month's cap, labelled, and checked before it is kept."""

import json
from collections.abc import Callable
from datetime import datetime

from django.conf import settings

from agentopt.lib.errors import Conflict, GatewayError
from evaluation import replay
from evaluation.models import Charge
from evaluation.purse import Purse, Settled
from ingestion.catalog import pricing
from ingestion.gateway import ChatReply, ChatRequest, Gateway
from ingestion.values import Usage
from projects import jobs
from projects.models import Job, User
from recommendations import retelling
from recommendations.models import Recommendation, Summary

_CHARACTERS_PER_TOKEN = 4
OFF = "No model is set to write summaries: set SUMMARY_MODEL."


def ask(recommendation: Recommendation, *, by: User | None) -> Job:
    """Queue the writing of a summary.

    Raises:
        Conflict: no model is set for it.
    """
    if not settings.SUMMARY_MODEL:
        raise Conflict(OFF)
    return jobs.start("summary", recommendation.project, subject_id=recommendation.pk, by=by)


def write(recommendation: Recommendation, *, gateway: Gateway, by: User | None, now: Callable[[], datetime]) -> Summary:
    """Ask the model, check its text, and keep it, or why it is not shown; an earlier one is replaced.

    Raises:
        Conflict: no model is set, or the month's cap has no room for the call.
        GatewayError: the call failed.
    """
    model = settings.SUMMARY_MODEL
    if not model:
        raise Conflict(OFF)
    reply = _paid(recommendation, model, gateway, now)
    text = " ".join((reply.text or "").split())
    refused = retelling.refusal(text, recommendation.evidence)
    defaults = {
        "model": model, "text": "" if refused else text, "refused": refused[:300], "simulated": reply.simulated,
        "by": by, "at": now(),
    }  # fmt: skip
    row, _ = Summary.objects.update_or_create(recommendation=recommendation, defaults=defaults)
    return row


def _paid(recommendation: Recommendation, model: str, gateway: Gateway, now: Callable[[], datetime]) -> ChatReply:
    project, body = recommendation.project, retelling.body(recommendation.evidence)
    price = replay.read_prices(project, now=now()).get(model)
    usage = Usage(len(json.dumps(body)) // _CHARACTERS_PER_TOKEN, int(body["max_tokens"]))
    estimate = (pricing.cost_nanousd(usage, price) if price is not None else None) or 0
    request = ChatRequest(
        model=model, body=body, trace_id=f"agentopt-summary-{recommendation.pk}", metadata={"agentopt": "summary"},
        timeout_s=settings.CALL_TIMEOUT_S,
    )  # fmt: skip
    with Purse(project, None, now, block=1, kind=Charge.Kind.SUMMARY) as purse:
        if not purse.take(estimate):
            raise Conflict("The month's cap has no room for the call.")
        try:
            with gateway.chat(in_flight=1) as session:
                reply: ChatReply = session.submit(request).result()
        except GatewayError as error:
            purse.settle([Settled(estimate, 0, int(getattr(error, "calls", 0)))])
            raise
        cost = replay.cost_of(reply, price)
        purse.settle([Settled(estimate, cost or 0, reply.calls, is_unpriced=cost is None)])
    return reply
