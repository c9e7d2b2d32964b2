"""What a run will take, said before it, and the hard cap during it."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import NormalDist

from agentopt.lib import money
from evaluation import learning, selection
from evaluation.learning import Experience, Seen
from evaluation.repeating import Repeating
from evaluation.values import Forecast, Offer, Panelist, Reason
from ingestion.values import UsageProfile

# Measured: a candidate takes 39 answers on average where at most 100 are planned, 76 where 300 are, since most stop
# early (docs/algorithms/decision.md, table of methods). Between and beyond, the line through both on logarithmic axes.
MEASURED_LIMIT, MEASURED_ANSWERS = 300, 76
GROWTH = math.log(76 / 39) / math.log(300 / 100)
PRIOR = 0.2  # share of candidates taken to be acceptable before any data
JUDGE_REPLY_TOKENS = 200
PAIRS = 30  # prompts on which a judge that compares two answers is asked: enough to show how it leans
SECONDS_PER_CALL = 5.0  # where the logs hold no latency
SD_EXACT, SD_GRADED = 0.45, 0.25  # of a paired quality difference: right or wrong, and graded


@dataclass(frozen=True)
class Budget:
    """Money that may be spent, and that was. A spend that is not known counts nothing and is said elsewhere."""

    cap_nanousd: int
    spent_nanousd: int

    def allows(self, estimated_next_nanousd: int | None, in_flight_nanousd: int = 0) -> bool:
        """Whether one more call may be sent.

        Calls in flight count with their estimates, so the cap can be passed only by what those calls cost above theirs.
        """
        return self.spent_nanousd + in_flight_nanousd + (estimated_next_nanousd or 0) <= self.cap_nanousd


@dataclass(frozen=True)
class Amount:
    """Nano-dollars and calls: spent, held or allowed."""

    nanousd: int
    calls: int

    def plus(self, other: "Amount") -> "Amount":
        """The sum of both."""
        return Amount(self.nanousd + other.nanousd, self.calls + other.calls)

    def minus(self, other: "Amount") -> "Amount":
        """The difference, never below nothing."""
        return Amount(max(0, self.nanousd - other.nanousd), max(0, self.calls - other.calls))

    def times(self, n: int) -> "Amount":
        """So many of it."""
        return Amount(self.nanousd * n, self.calls * n)

    def at_least(self, other: "Amount") -> "Amount":
        """The larger of both, part by part."""
        return Amount(max(self.nanousd, other.nanousd), max(self.calls, other.calls))

    def fits(self, other: "Amount") -> bool:
        """Whether both parts are within the other's."""
        return self.nanousd <= other.nanousd and self.calls <= other.calls


@dataclass(frozen=True)
class Cap:
    """A hard cap with what counts against it; a limit that is None is none."""

    code: str  # "evaluation" or "month"
    nanousd: int | None
    calls: int | None
    spent: Amount
    held: Amount  # by all who are at work, oneself included


@dataclass(frozen=True)
class Shortage:
    """The cap that does not allow another call."""

    code: str
    unit: str  # "dollars" or "calls"
    cap: int
    spent: int


def grant(caps: Sequence[Cap], *, need: Amount, want: Amount) -> Amount | Shortage:
    """Return how much more room may be held under all caps: at least `need`, else the cap that does not allow it.

    Where there is plenty it is `want`; near a cap blocks shrink to what is needed, since nobody else can use them. At a
    cap itself there is nothing, not even for a call that looks free: an unknown price is not a price of 0.
    """
    room = [want.nanousd, want.calls]
    for cap in caps:
        limits = (("dollars", cap.nanousd, cap.spent.nanousd, cap.held.nanousd, need.nanousd),
                  ("calls", cap.calls, cap.spent.calls, cap.held.calls, need.calls))  # fmt: skip
        for index, (unit, limit, spent, held, needed) in enumerate(limits):
            if limit is None:
                continue
            left = limit - spent - held
            if spent >= limit or left < needed:
                return Shortage(cap.code, unit, limit, spent)
            room[index] = min(room[index], left // 4)
    return Amount(max(need.nanousd, room[0]), max(need.calls, room[1]))


def stop_of(shortage: Shortage | None, *, spent_nanousd: int, cap_nanousd: int) -> Reason:
    """Say which cap stopped a run, and what raises it.

    Args:
        shortage: the cap that refused a call; None: the evaluation's own in dollars.
        spent_nanousd, cap_nanousd: of the evaluation.
    """
    found = shortage or Shortage("evaluation", "dollars", cap_nanousd, spent_nanousd)
    numbers = {"cap": found.cap, "spent": found.spent, "unit": found.unit}
    if found.unit == "dollars":
        of = f"${found.spent / money.NANO:.2f} of ${found.cap / money.NANO:.2f} are spent"
    else:
        of = f"{found.spent:,} of {found.cap:,} calls are made"
    if found.code == "month":
        text = f"Stopped at the project's cap of this month: {of}. It can go on next month, or with a higher cap."
        return Reason("at_monthly_cap", text, numbers)
    return Reason("at_cap" if found.unit == "dollars" else "at_call_cap", f"Stopped at the cap: {of}.", numbers)


@dataclass(frozen=True)
class Room:
    """How many calls are in flight at once, and of single providers at most."""

    in_flight: int
    by_provider: Mapping[str, int] = field(default_factory=dict)

    def of(self, provider: str) -> int:
        """Calls at once to a provider."""
        return max(1, min(self.in_flight, self.by_provider.get(provider, self.in_flight)))


@dataclass(frozen=True)
class Design:
    """The numbers of a policy that decide how many calls a run makes."""

    limit: int  # prompts per candidate at most, and of the baseline
    error_level: float  # of one candidate that is tried alone
    screen: int = 20
    screen_from: int = 2
    finalists: int = 3
    least_prompts: int = 30  # with fewer nothing is paid


@dataclass(frozen=True)
class Calls:
    """Numbers of answers: of candidates, and prompts reached (each has one answer of the baseline)."""

    answers: int
    prompts: int


def error_level(threshold: float, prior: float) -> float:
    """Error level whose stated confidence is the threshold: 0.7 at prior 0.2 gives 0.0968."""
    return prior * (1 - threshold) / (prior * (1 - threshold) + (1 - prior) * threshold)


def expected_calls(design: Design, *, candidates: int) -> Calls:
    """Answers and prompts of an average run."""
    least, most = least_calls(design, candidates=candidates), most_calls(design, candidates=candidates)
    each = min(design.limit, round(MEASURED_ANSWERS * (design.limit / MEASURED_LIMIT) ** GROWTH))
    screen = _ranked_on(design, candidates=candidates)
    tried = min(design.finalists, candidates) if screen else 1
    prompts = screen + round((each - screen) * max(1, candidates) / tried)
    return Calls(
        answers=min(max(each * candidates, least.answers), most.answers),
        prompts=min(max(prompts, least.prompts), most.prompts),
    )


def most_calls(design: Design, *, candidates: int) -> Calls:
    """Answers and prompts of a run in which nobody is dropped before the limit."""
    if not candidates or design.limit < design.least_prompts:
        return Calls(0, 0)
    screen = _ranked_on(design, candidates=candidates)
    tried = min(design.finalists, candidates) if screen else candidates
    return Calls(screen * candidates + (design.limit - screen) * tried, design.limit)


def least_calls(design: Design, *, candidates: int) -> Calls:
    """Answers and prompts of a run in which everybody is dropped at the first look."""
    if not candidates or design.limit < design.least_prompts:
        return Calls(0, 0)
    first = _ranked_on(design, candidates=candidates) or min(design.screen, design.limit)
    return Calls(first * candidates, first)


def _ranked_on(design: Design, *, candidates: int) -> int:
    """Prompts that only rank the candidates; 0 where there is one, or too few prompts remain to decide."""
    screen = min(design.screen, design.limit // 3)
    return screen if candidates >= design.screen_from and design.limit - screen >= design.least_prompts else 0


def detectable_difference(design: Design, *, candidates: int, exact: bool) -> float | None:
    """Difference of quality that the planned sample shows with 80 % power: (z_α + z_0.8) · sd / √n."""
    if not candidates or not design.limit:
        return None
    level = design.error_level / min(candidates, design.finalists)
    z = NormalDist().inv_cdf(1 - level) + NormalDist().inv_cdf(0.8)
    return z * (SD_EXACT if exact else SD_GRADED) / math.sqrt(design.limit)


def judge_cost(judge: Panelist, profile: UsageProfile) -> int | None:
    """Nano-dollars to judge one answer with all repeats; None where price or lengths are not known."""
    offer = judge.offer
    prompt, answer = profile.mean_input_tokens, profile.mean_output_tokens
    if offer is None or offer.input_nanousd is None or offer.output_nanousd is None or prompt is None or answer is None:
        return None
    read = math.ceil(judge.prompt_tokens + prompt + (2 * answer if judge.compares else answer))
    once = money.token_cost_nanousd(read, offer.input_nanousd)
    return questions(judge) * (once + money.token_cost_nanousd(JUDGE_REPLY_TOKENS, offer.output_nanousd))


def questions(judge: Panelist) -> int:
    """Calls for one answer: one a repeat, and both orders where it is compared with another."""
    return 2 * judge.repeats if judge.compares else judge.repeats


def judged_by(judge: Panelist, calls: "Calls", repeating: Repeating, *, candidates: int) -> int:
    """Answers that come before a judge; who compares two sees the candidates' answers to the first prompts only."""
    if judge.compares:
        return min(calls.answers, PAIRS * candidates)
    return math.ceil(calls.answers * repeating.answers_each + calls.prompts * repeating.baseline_judged_each)


def unpriced(called: Sequence[Offer], panel: Sequence[Panelist]) -> list[str]:
    """Names of the models that would be called and have no price."""
    offers = {offer.name: offer for offer in called} | {judge.model: judge.offer for judge in panel}
    return sorted(
        name
        for name, offer in offers.items()
        if offer is None or offer.input_nanousd is None or offer.output_nanousd is None
    )


def forecast(
    design: Design,
    profile: UsageProfile,
    candidates: Sequence[Offer],
    *,
    baseline: Offer,
    panel: Sequence[Panelist],
    cap_nanousd: int,
    cap_calls: int | None = None,
    repeating: Repeating,
    room: Room,
    seconds_per_call: float | None,
    experience: Experience | None = None,
) -> Forecast:
    """Say what a run of these candidates before this panel will take, at the traffic's mean lengths."""
    k = len(candidates)
    runs = [count(design, candidates=k) for count in (expected_calls, most_calls, least_calls)]
    past = experience or Experience()
    called = baseline if repeating.calls_baseline else None
    costs = _Costs.of(profile, candidates, baseline=called, panel=panel, past=past, repeating=repeating)
    unlearned, most, low = (costs.total(calls) for calls in runs)
    replays = [_asked(calls, repeating) for calls in runs]
    asked_of = [[questions(j) * judged_by(j, calls, repeating, candidates=k) for j in panel] for calls in runs]
    verdicts = [sum(each) for each in asked_of]
    usual = seconds_per_call or SECONDS_PER_CALL
    judged = tuple(zip(panel, asked_of[0], strict=True))
    minutes = _minutes(candidates, replays[0], judged, past=past, usual=usual, room=room)
    span = expected = None
    if unlearned is not None and low is not None and most is not None:
        expected = min(max(round(unlearned * learning.correction(past.ratios)), low), most)
        span = learning.interval(expected, past.ratios, least=low, most=most)
    tokens = _tokens(profile, panel, runs[0], replays=replays[0], candidates=k, repeating=repeating)
    asked = (*candidates, *_one(called), *(judge.offer for judge in panel if judge.offer))
    return Forecast(
        replay_calls_expected=replays[0],
        replay_calls_at_most=replays[1],
        judge_calls_expected=verdicts[0],
        judge_calls_at_most=verdicts[1],
        prompts_expected=runs[0].prompts,
        prompts_at_most=runs[1].prompts,
        tokens_expected=tokens and sum(tokens),
        replay_tokens_expected=tokens and tokens[0],
        judge_tokens_expected=tokens and tokens[1],
        cost_expected_nanousd=expected,
        cost_unlearned_nanousd=unlearned,
        cost_low_nanousd=low,
        cost_high_nanousd=most,
        cost_p10_nanousd=span.low if span else None,
        cost_p90_nanousd=span.high if span else None,
        learned_from=len(past.ratios),
        cap_nanousd=cap_nanousd,
        cap_calls=cap_calls,
        minutes_expected=round(minutes, 1),
        providers=tuple(sorted({offer.provider for offer in asked if offer.provider})),
        detectable_difference=detectable_difference(design, candidates=k, exact=all(j.exact for j in panel)),
        unknown=costs.unknown,
        notes=(_source_note(design), _interval_note(past), *_cap_notes(expected, most, cap_nanousd=cap_nanousd)),
    )


def _asked(calls: Calls, repeating: Repeating) -> int:
    """Answers that are asked for, repetitions and those of the baseline included."""
    return math.ceil(calls.answers * repeating.answers_each + calls.prompts * repeating.baseline_calls_each)


@dataclass(frozen=True)
class _Costs:
    """Mean nano-dollars per answer of a candidate, and per prompt or answer beside; None: not known."""

    answer: float | None
    per_call: float  # of the baseline
    verdicts: tuple[tuple[Panelist, float], ...]  # what judging one answer costs with each
    candidates: int
    unknown: tuple[Reason, ...]
    repeating: Repeating = field(default_factory=Repeating)

    @classmethod
    def of(
        cls,
        profile: UsageProfile,
        candidates: Sequence[Offer],
        *,
        baseline: Offer | None,
        panel: Sequence[Panelist],
        past: Experience,
        repeating: Repeating,
    ) -> "_Costs":
        if profile.mean_input_tokens is None or profile.mean_output_tokens is None:
            text = "The logs hold no token counts, so no cost can be forecast and the cap cannot be kept in dollars."
            return cls(None, 0, (), 0, (Reason("lengths_unknown", text),))
        priced = {
            offer.name: selection.cost_per_call(offer, _own_lengths(profile, past.models.get(offer.name)))
            for offer in [*candidates, *_one(baseline)]
        }
        judged = {judge.model: judge_cost(judge, profile) for judge in panel}
        unpriced = sorted(name for name, cost in {**priced, **judged}.items() if cost is None)
        if unpriced:
            text = f"No price is known for {', '.join(unpriced)}; add one to the catalogue."
            return cls(None, 0, (), 0, (Reason("price_unknown", text, {"models": unpriced}),))
        own = [priced[offer.name] or 0 for offer in candidates]
        return cls(
            answer=sum(own) / len(own) if own else 0.0,
            per_call=float(priced[baseline.name] or 0) if baseline else 0.0,
            verdicts=tuple((judge, float(judge_cost(judge, profile) or 0)) for judge in panel),
            candidates=len(candidates),
            unknown=(),
            repeating=repeating,
        )

    def total(self, calls: Calls) -> int | None:
        if self.answer is None:
            return None
        k, again = self.candidates, self.repeating
        judged = sum(cost * judged_by(judge, calls, again, candidates=k) for judge, cost in self.verdicts)
        asked = self.answer * calls.answers * again.answers_each
        return round(asked + self.per_call * calls.prompts * again.baseline_calls_each + judged)


def _own_lengths(profile: UsageProfile, seen: Seen | None) -> UsageProfile:
    """The traffic with answers as long as this model was seen to write them."""
    if seen is None:
        return profile
    mean = learning.shrunk(seen.mean_output_tokens, seen.answers, usual=profile.mean_output_tokens)
    return replace(profile, mean_output_tokens=mean)


def _minutes(
    candidates: Sequence[Offer],
    replays: int,
    verdicts: Sequence[tuple[Panelist, int]],
    *,
    past: Experience,
    usual: float,
    room: Room,
) -> float:
    """Minutes of all calls; a model seen before takes as long as it did, a provider has no more than its room."""
    seconds: dict[str, float] = defaultdict(float)
    for offer in candidates:
        seen = past.models.get(offer.name, Seen(0))
        each = learning.shrunk(seen.mean_latency_s, seen.answers, usual=usual) or usual
        seconds[offer.provider] += each * replays / len(candidates)
    for judge, n in verdicts:
        seconds[judge.offer.provider if judge.offer else ""] += usual * n
    longest = max((taken / room.of(provider) for provider, taken in seconds.items()), default=0.0)
    return max(longest, sum(seconds.values()) / room.in_flight) / 60


def _interval_note(past: Experience) -> Reason:
    runs = len(past.ratios)
    learned = f"{runs} earlier run{'' if runs == 1 else 's'} of this project" if runs else "no earlier run yet"
    factor = learning.correction(past.ratios)
    moved = f" What they cost moves the expected cost by {factor - 1:+.0%}." if runs else ""
    return Reason(
        "interval_source",
        f"Interval: holds the cost in {learning.COVERAGE:.0%} of runs, from how far forecasts are usually off and "
        f"{learned}.{moved}",
        {
            "coverage": learning.COVERAGE, "runs": runs, "spread": round(learning.spread(past.ratios), 4),
            "correction": round(factor, 4),
        },
    )  # fmt: skip


def _one(offer: Offer | None) -> list[Offer]:
    return [] if offer is None else [offer]


def _tokens(
    profile: UsageProfile, panel: Sequence[Panelist], calls: Calls, *, replays: int, candidates: int,
    repeating: Repeating,
) -> tuple[int, int] | None:  # fmt: skip
    """Tokens of the calls to models and to judges, rounded so that both make up the whole; None: no lengths."""
    if profile.mean_input_tokens is None or profile.mean_output_tokens is None:
        return None
    prompt, answer = profile.mean_input_tokens, profile.mean_output_tokens
    call = prompt + answer
    verdicts = sum(
        questions(judge) * judged_by(judge, calls, repeating, candidates=candidates)
        * (judge.prompt_tokens + call + (answer if judge.compares else 0) + JUDGE_REPLY_TOKENS)
        for judge in panel
    )  # fmt: skip
    asked = round(replays * call)
    return asked, round(replays * call + verdicts) - asked


def _source_note(design: Design) -> Reason:
    return Reason(
        "expected_source",
        f"Expected: most candidates stop far before {design.limit} prompts; on average {MEASURED_ANSWERS} answers each "
        f"were measured at a limit of {MEASURED_LIMIT}. At most: nobody is dropped early.",
        {"limit": design.limit},
    )


def _cap_notes(expected: int | None, most: int | None, *, cap_nanousd: int) -> list[Reason]:
    numbers = {"cap_nanousd": cap_nanousd}
    if expected is not None and expected > cap_nanousd:
        return [
            Reason("cap_below_expected", "The cap is lower than the expected cost: expect a stop at the cap.", numbers)
        ]
    if most is not None and most > cap_nanousd:
        return [Reason("cap_below_most", "A long run could reach the cap and stop there; it can be resumed.", numbers)]
    return []
