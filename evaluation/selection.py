"""Which models are worth trying: pruned by facts, ranked by price, each with its reasons.

Deterministic: the same goal, traffic and offers give the same choices. Nothing of a prompt is read, only lengths,
shares and prices. What is not known is no reason to prune; it is said as a note.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import date, timedelta

from agentopt.lib import money
from evaluation.ranking import Ranking
from evaluation.traffic import SINGLE, Traffic
from evaluation.values import Choice, Offer, Reason
from ingestion.values import UsageProfile
from projects.values import Goal

RETIRES_SOON = timedelta(days=30)
FOREIGN = 0.05  # share from which a language counts: of short texts some are taken for another one


def choose(
    goal: Goal,
    profile: UsageProfile,
    offers: Sequence[Offer],
    *,
    baseline: Offer,
    allowed_providers: Collection[str],
    banned: Collection[str],
    today: date,
    limit: int = 8,
    judges: Collection[str] = (),
    judge_families: Collection[str] = (),
    traffic: Traffic | None = None,
    ranking: Ranking | None = None,
) -> list[Choice]:
    """Return every offer, the kept ones first by rank, then the pruned by name.

    Args:
        profile: lengths and needs of the production traffic; tokens.
        allowed_providers: who may receive prompts; empty: all.
        banned, judges: gateway names never to be tried; a judge must not score its own answers.
        judge_families: families of the judges where none may judge its own kind; a candidate of one is not tried.
        limit: how many are kept at most.
        traffic: shares that the columns of a log do not tell.
        ranking: a model's order of the candidates; those it does not name follow by cost. None: by cost.
    """
    own = cost_per_call(baseline, profile)
    kept: list[Choice] = []
    pruned: list[Choice] = []
    for offer in offers:
        cost = cost_per_call(offer, profile)
        reasons = [
            *_identity(offer, baseline=baseline, banned=banned, judges=judges),
            *_kinship(offer, judges=judges, families=judge_families),
            *_reach(offer, allowed_providers=allowed_providers, today=today),
            *_needs(offer, profile, traffic),
            *_cost(goal, cost),
            *_latency(goal, offer),
        ]
        notes = [
            *_unknowns(offer, profile, traffic),
            *_opinion(offer, ranking),
            *_outlook(offer, today),
            *_price_note(cost, own),
        ]
        choice = Choice(offer, not reasons, None, tuple(reasons), tuple(notes), cost)
        (pruned if reasons else kept).append(choice)
    ranked = _rank(kept, limit=limit, ranking=ranking)
    return ranked[:limit] + sorted(ranked[limit:] + pruned, key=lambda choice: choice.offer.name)


def cost_per_call(offer: Offer, profile: UsageProfile) -> int | None:
    """Nano-dollars that a call of the traffic's mean lengths costs; None where price or lengths are not known."""
    prompt, answer = profile.mean_input_tokens, profile.mean_output_tokens
    if offer.input_nanousd is None or offer.output_nanousd is None or prompt is None or answer is None:
        return None
    return round((prompt * offer.input_nanousd + answer * offer.output_nanousd) / money.TOKENS_PER_PRICE)


def _rank(kept: list[Choice], *, limit: int, ranking: Ranking | None = None) -> list[Choice]:
    """As a model ranks them, then cheapest first, unknown prices last, ties by name; those beyond become pruned."""
    places = ranking.order if ranking else {}

    def place(choice: Choice) -> tuple[int, bool, int, str]:
        cost = choice.cost_per_call_nanousd
        return (places.get(choice.offer.name, len(places)), cost is None, cost or 0, choice.offer.name)

    order = sorted(kept, key=place)
    by = f"by {ranking.model}" if ranking else "by expected cost"
    out = []
    for rank, choice in enumerate(order, start=1):
        if rank <= limit:
            out.append(Choice(choice.offer, True, rank, (), choice.notes, choice.cost_per_call_nanousd))  # noqa: FBT003
            continue
        text = f"Ranked {rank} {by}; at most {limit} are tried."
        beyond = Reason("beyond_limit", text, {"rank": rank, "limit": limit})
        out.append(Choice(choice.offer, False, None, (beyond,), choice.notes, choice.cost_per_call_nanousd))  # noqa: FBT003
    return out


def _identity(offer: Offer, *, baseline: Offer, banned: Collection[str], judges: Collection[str]) -> Iterator[Reason]:
    if offer.name == baseline.name or _same_model(offer, baseline):
        yield Reason("baseline", "It is the model in production.")
    if offer.name in banned:
        yield Reason("banned", "The project bans it.")
    if offer.name in judges:
        yield Reason("judge", "It is a judge of this evaluation, and a judge must not score its own answers.")


def _kinship(offer: Offer, *, judges: Collection[str], families: Collection[str]) -> Iterator[Reason]:
    if offer.family and offer.family in families and offer.name not in judges:
        text = f"A judge is of the {offer.family} family, too, and judges favor their own kind."
        yield Reason("judge_family", text, {"family": offer.family})


def _same_model(one: Offer, other: Offer) -> bool:
    """The same model under another gateway name; by another provider it is a choice of its own."""
    return one.model == other.model and (not one.provider or not other.provider or one.provider == other.provider)


def _reach(offer: Offer, *, allowed_providers: Collection[str], today: date) -> Iterator[Reason]:
    if allowed_providers and offer.provider not in allowed_providers:
        named = f"Provider {offer.provider}" if offer.provider else "Its provider is not known and so"
        yield Reason(
            "provider_not_allowed",
            f"{named} is not among those that may receive prompts.",
            {"provider": offer.provider},
        )
    if offer.listed is False:
        yield Reason("not_listed", "The gateway does not list it.")
    if offer.retires_on is None:
        return
    numbers = {"retires_on": offer.retires_on.isoformat(), "days": (offer.retires_on - today).days}
    if offer.retires_on <= today:
        yield Reason("retired", f"Retired on {offer.retires_on}.", numbers)
    elif offer.retires_on - today <= RETIRES_SOON:
        yield Reason("retiring", f"Retires on {offer.retires_on}, in {numbers['days']} days.", numbers)


def _needs(offer: Offer, profile: UsageProfile, traffic: Traffic | None) -> Iterator[Reason]:
    prompt, answer = profile.p99_input_tokens, profile.p99_output_tokens
    if offer.context_window is not None and prompt is not None:
        needed = prompt + (answer or 0)
        if offer.context_window < needed:
            parts = f"p99 prompt {prompt:,}" + ("" if answer is None else f" + p99 answer {answer:,}")
            yield Reason(
                "context_too_short",
                f"Context window of {offer.context_window:,} tokens; the traffic needs {needed:,} ({parts}).",
                {"context_window": offer.context_window, "needed": needed},
            )
    if offer.output_limit is not None and answer is not None and offer.output_limit < answer:
        yield Reason(
            "output_too_short",
            f"Output limit of {offer.output_limit:,} tokens; the p99 answer has {answer:,}.",
            {"output_limit": offer.output_limit, "needed": answer},
        )
    for code, lacks, share, what in _features(offer, profile, traffic):
        if lacks is False and share:
            yield Reason(f"no_{code}", f"No {what}, which {_percent(share)} of the calls use.", {"share": share})
    foreign, share = _foreign(offer, traffic)
    if offer.languages is not None and foreign:
        text = f"Made for {', '.join(offer.languages)}; {_percent(share)} of the calls are in {', '.join(foreign)}."
        yield Reason("no_language", text, {"share": share, "languages": foreign})


def _foreign(offer: Offer, traffic: Traffic | None) -> tuple[list[str], float]:
    """Languages of the traffic that a model is not known to be made for, and their share; groups count for none."""
    made_for = {name.lower() for name in offer.languages or ()}
    found = {name: k for name, k in (traffic.languages if traffic else ()) if name in SINGLE and k >= FOREIGN}
    foreign = {name: k for name, k in found.items() if name.lower() not in made_for}
    return list(foreign), sum(foreign.values())


def _features(
    offer: Offer, profile: UsageProfile, traffic: Traffic | None
) -> tuple[tuple[str, bool | None, float | None, str], ...]:
    seen = traffic or Traffic(0)
    # a schema is no plain JSON mode: where bodies tell the two apart, each is asked of its own ability
    json_share = seen.share_json_mode if seen.share_json_schema else profile.share_json
    return (
        ("tools", offer.tools, profile.share_tools, "tool calling"),
        ("parallel_tools", offer.parallel_tools, seen.share_parallel_tools, "parallel tool calls"),
        ("json", offer.json_mode, json_share, "JSON mode"),
        ("json_schema", offer.json_schema, seen.share_json_schema, "JSON schema"),
        ("vision", offer.vision, profile.share_images, "vision"),
        ("streaming", offer.streaming, profile.share_streamed, "streaming"),
        ("reasoning", offer.reasoning, seen.share_reasoning, "control of reasoning"),
        ("seed", offer.seed, seen.share_seed, "seeds"),
    )


def _latency(goal: Goal, offer: Offer) -> Iterator[Reason]:
    """Only what was measured here speaks against a model; twice the limit, since a day's latency is not another's."""
    most, seen = goal.limits.get("latency_p95_s"), offer.latency_p95_s
    if most is not None and seen is not None and seen > 2 * most:
        text = f"Its p95 latency in earlier runs was {seen:.2f} s, over twice the goal's limit of {most:g} s."
        yield Reason("over_latency_limit", text, {"latency_p95_s": seen, "limit_s": most})


def _opinion(offer: Offer, ranking: Ranking | None) -> Iterator[Reason]:
    said = dict(ranking.reasons).get(offer.name) if ranking else None
    if ranking and said is not None:
        place = ranking.order[offer.name] + 1
        yield Reason("ranked_by_model", f"{ranking.model}: {said}", {"place": place, "model": ranking.model})


def _cost(goal: Goal, cost: int | None) -> Iterator[Reason]:
    most = goal.limits.get("cost_per_call_usd")
    if most is not None and cost is not None and cost > money.nanousd(most):
        yield Reason(
            "over_cost_limit",
            f"A call of mean length would cost {_dollars(cost)}; the goal's limit is {_dollars(money.nanousd(most))}.",
            {"cost_per_call_nanousd": cost, "limit_nanousd": money.nanousd(most)},
        )


def _unknowns(offer: Offer, profile: UsageProfile, traffic: Traffic | None) -> Iterator[Reason]:
    if profile.p99_input_tokens is None:
        yield Reason("lengths_unknown", "The logs hold no token counts, so its context window was not checked.")
    elif offer.context_window is None:
        yield Reason("context_unknown", "Its context window is not known.")
    if profile.p99_output_tokens is not None and offer.output_limit is None:
        yield Reason("output_limit_unknown", "Its output limit is not known.")
    for code, has, share, what in _features(offer, profile, traffic):
        if has is None and share:
            text = f"Whether it has {what} is not known; {_percent(share)} of the calls use it."
            yield Reason(f"{code}_unknown", text, {"share": share})
    foreign, share = _foreign(offer, traffic)
    if offer.languages is None and foreign != ["English"] and foreign:
        text = f"Which languages it is made for is not known; the calls are in {', '.join(foreign)}."
        yield Reason("languages_unknown", text, {"share": share, "languages": foreign})
    if offer.listed is None:
        yield Reason("listing_unknown", "The gateway gave no list of models.")


def _outlook(offer: Offer, today: date) -> Iterator[Reason]:
    if offer.retires_on is not None and offer.retires_on - today > RETIRES_SOON:
        days = (offer.retires_on - today).days
        numbers = {"retires_on": offer.retires_on.isoformat(), "days": days}
        yield Reason("retires_later", f"Retires on {offer.retires_on}, in {days} days.", numbers)


def _price_note(cost: int | None, own: int | None) -> Iterator[Reason]:
    if cost is None:
        yield Reason("cost_unknown", "Its price or the traffic's lengths are not known, so it ranks last.")
        return
    numbers: dict[str, float] = {"cost_per_call_nanousd": cost}
    text = f"Expected {_dollars(cost)} per call at the traffic's mean lengths"
    if own:
        numbers["ratio"] = cost / own
        text += f", {_percent(cost / own)} of what the model in production costs"
    yield Reason("expected_cost", f"{text}.", numbers)


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else f"{share:.2%}"


def _dollars(amount_nanousd: int) -> str:
    return f"${amount_nanousd / money.NANO:.6f}".rstrip("0").rstrip(".")
