"""The door of the engine: rank the candidates, then look at them in turn until one is shown or hopeless.

The protocol of docs/algorithms/decision.md. Everything depends on the arguments only; there is no state to lose.
"""

import dataclasses
import math
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import numpy.typing as npt

from evaluation.statistics import judge_error, looks
from evaluation.statistics import outcome as outcomes
from evaluation.statistics.evidence import Evidence, evidence
from evaluation.statistics.outcome import REASONS, Condition, Finding, Look, Outcome, Wanted
from evaluation.statistics.policy import Policy, confidence_of, level_of, priors_of
from evaluation.statistics.prospects import Earlier, predicted_pass
from evaluation.statistics.samples import Samples, check, cut, unmeasured

__all__ = ["Condition", "Finding", "Look", "Outcome", "Policy", "Samples", "Wanted", "decide", "step"]


@dataclass
class _Run:
    """One run of the protocol and what it has seen so far."""

    policy: Policy
    candidates: int
    total: int
    start: int = 0  # prompts of the ranking stage
    answers: int = 0
    furthest: int = 0  # prompts of the test stage
    seen: list[Look] = field(default_factory=list)
    findings: dict[int, Finding] = field(default_factory=dict)
    ranking: Evidence | None = None

    def __post_init__(self) -> None:
        self.priors = priors_of(self.policy, self.candidates)  # of column c at c − 1
        self.alphas = [level_of(self.policy.threshold, prior) for prior in self.priors]

    @property
    def futility(self) -> float:
        """Chance to pass below which a candidate under test is dropped."""
        rules = self.policy
        return rules.futility if self.ranking is None else min(rules.futility, rules.futility_ranked)

    def finish(self, code: str, *, leader: int, confidence: float, ev: Evidence) -> Outcome:
        """Return the outcome with a finding for every candidate, tried or not."""
        prompts = self.start + self.furthest
        ranked = {look.column: look for look in self.seen if look.ranking}
        untried = {c: Finding(c, "not_reached", self.start, ranked.get(c)) for c in range(1, self.candidates + 1)}
        findings = untried | self.findings
        return Outcome(
            recommended=leader if code == "all_conditions_shown" else None,
            confidence=confidence,
            leader=leader,
            reason=REASONS[code],
            prompts=prompts,
            candidate_answers=self.answers,
            judged_answers=self.answers + prompts,
            looks=tuple(self.seen),
            leader_evidence=ev,
            code=code,
            findings=tuple(findings[c] for c in sorted(findings)),
        )


@dataclass(frozen=True)
class _Ranked:
    columns: tuple[int, ...]  # in the order in which they are tried
    shares: tuple[float, ...]  # of the error budget


@dataclass(frozen=True)
class _Trial:
    column: int
    p: float
    code: str
    ev: Evidence


# ------------------------------------------------------------------------------------------------ ranking
def _rank(run: _Run) -> Generator[Wanted, Samples, _Ranked | Outcome]:
    """Order the candidates by promise on prompts of their own; an outcome when none of them has a chance."""
    run.start = min(run.policy.screen, run.total // 3)
    ev = evidence((yield Wanted(tuple(range(1, run.candidates + 1)), 0, run.start)), run.policy)
    run.ranking = ev
    run.answers += run.start * run.candidates
    level = np.array(run.alphas) * run.policy.share / 2
    chance = predicted_pass(ev, (run.total - run.start) / run.start, level=level)
    chance = np.where(ev.missing > 0.5, 0.0, chance)  # it could never be shown
    promise = chance * np.maximum(ev.gain, 0.0)
    order = [int(i) for i in np.argsort(-promise, kind="stable") if chance[i] >= run.policy.futility / 2]
    for i in range(run.candidates):
        _note_ranking(run, ev, i=i, chance=float(chance[i]), dropped=i not in order)
    if not order:
        return _hopeless(run, ev, int(np.lexsort((ev.gain, chance, promise))[-1]))
    order = order[: run.policy.finalists]
    share = np.maximum(promise[order], 1e-9)
    share = np.maximum(share / math.fsum(share), 0.1)
    shares = tuple(math.floor(100 * s) / 100 for s in share / math.fsum(share))
    return _Ranked(tuple(i + 1 for i in order), shares)


def _note_ranking(run: _Run, ev: Evidence, *, i: int, chance: float, dropped: bool) -> None:
    look = Look(
        column=i + 1,
        ranking=True,
        prompts=run.start,
        units=ev.units,
        chance=chance,
        p=None,
        confidence=None,
        gain=float(ev.gain[i]),
        conditions=tuple(outcomes.condition(ev, row, i) for row in range(len(ev.terms))),
        measures=outcomes.measures(ev, i),
        missing=float(ev.missing[i]),
    )
    run.seen.append(look)
    if dropped:
        code = "too_many_unscored" if ev.missing[i] > 0.5 else "no_candidate_likely"
        run.findings[i + 1] = Finding(i + 1, "dropped_at_ranking", run.start, look, code)


def _hopeless(run: _Run, ev: Evidence, i: int) -> Outcome:
    p = min(1.0, float(ev.p[:, i].max()) * run.candidates / run.policy.share)
    code = run.findings[i + 1].code
    return run.finish(code, leader=i + 1, confidence=confidence_of(p, run.priors[i]), ev=ev)


# ------------------------------------------------------------------------------------------------ test
@dataclass
class _Test:
    """One candidate's looks: what they may cost, and what they have shown."""

    run: _Run
    column: int
    share: float  # of the error budget
    turns: list[int]  # prompts of each look

    def __post_init__(self) -> None:
        least = self.run.policy.least_prompts
        # Looks below this number can only drop, so they cost no error.
        self.early = min(sum(n < least for n in self.turns), len(self.turns) - 1)
        self.fractions = looks.fractions_of(self.turns[self.early :])
        self.alpha = self.run.alphas[self.column - 1]
        self.level = self.alpha * self.share
        rounded = max(round(self.level, 5), 1e-5)  # one table for shares that hardly differ
        self.last_level = looks.look_levels(self.fractions, rounded, rho=self.run.policy.rho)[-1]
        self.shown: list[float] = []  # smallest sequential p per condition so far
        self.shown_at: dict[int, int] = {}
        self.earlier = None
        if self.run.ranking is not None:
            own, before = slice(self.column - 1, self.column), self.run.ranking
            self.earlier = Earlier(before.units, before.distance[:, own], before.error[:, own])

    @property
    def span(self) -> int:
        return self.turns[-1]

    @property
    def p(self) -> float:
        """Error level at which this candidate would pass, over the whole run."""
        return min(1.0, max(self.shown) / self.share)

    def passes(self, sequential_p: float) -> bool:
        return min(1.0, sequential_p / self.share) <= self.alpha

    def conditions(self, ev: Evidence, turn: int) -> tuple[Condition, ...]:
        """Bring the sequential p up to date with this look and return its conditions."""
        self.shown = self.shown or [1.0] * len(ev.terms)
        found = []
        for row in range(len(ev.terms)):
            plain = outcomes.condition(ev, row, 0)
            found.append(plain if turn < self.early else self._tested(plain, ev, row=row, turn=turn))
        return tuple(found)

    def _tested(self, plain: Condition, ev: Evidence, *, row: int, turn: int) -> Condition:
        n, rho = self.turns[turn], self.run.policy.rho
        floor = ev.floor[row] ** 2 * self.span / max(ev.error[row, 0] ** 2 * n, 1e-9)

        def sequential(p: float) -> float:
            return looks.sequential_p(p, turn - self.early, fractions=self.fractions, rho=rho, floor=floor)

        self.shown[row] = min(self.shown[row], sequential(float(ev.p[row, 0])))
        if self.passes(self.shown[row]):
            self.shown_at.setdefault(row, n)
        draws = ev.draws[row, 0]
        most = looks.most_failures(lambda p: self.passes(sequential(p)), draws.size)
        bound = None if most < 0 else float(np.partition(draws, min(most, draws.size - 1))[min(most, draws.size - 1)])
        return dataclasses.replace(
            plain, bound=bound, p=self.shown[row], shown=row in self.shown_at, shown_at=self.shown_at.get(row)
        )

    def chance(self, ev: Evidence, n: int) -> float:
        """Predicted chance to pass by the end."""
        need = np.array([[p > self.level] for p in self.shown])
        ahead = self.span / n
        return float(predicted_pass(ev, ahead, level=self.last_level, need=need, earlier=self.earlier)[0])


def _try(run: _Run, test: _Test) -> Generator[Wanted, Samples, _Trial]:
    """Look at one candidate until it passes, is hopeless, or has no prompts left."""
    rules, column, seen = run.policy, test.column, 0
    for turn, n in enumerate(test.turns):
        rows = yield Wanted((column,), run.start, run.start + n)
        run.answers, seen, run.furthest = run.answers + n - seen, n, max(run.furthest, n)
        quality = rows.guards["quality"]
        bias = judge_error.estimate(rules, rows.scores_by_judge, human=rows.human, quality=quality)
        ev = evidence(rows, rules, bias)
        look = _look(test, ev, turn=turn, panel=judge_error.panel(rows, rules))
        run.seen.append(look)
        fit, scored = look.panel is None or look.panel.fit, bool(ev.missing[0] <= rules.unscored)
        enough = n >= rules.least_prompts and ev.units >= rules.least_units
        passed = test.passes(max(test.shown))
        if passed and fit and scored and enough and bool((ev.distance > 0).all()):
            return _end(run, test, ev=ev, code="all_conditions_shown", state="recommended")
        hopeless = look.chance is not None and look.chance < run.futility
        # Too many are unscored, even if all others will be scored.
        unscorable = bool(ev.missing[0] * n > rules.unscored * test.span)
        if hopeless or unscorable or n == test.span:
            break
    state = "dropped" if hopeless and n < test.span else "not_shown"
    code = _shortfall(passed=passed, panel=look.panel, scored=scored, enough=enough, at_limit=n == test.span)
    return _end(run, test, ev=ev, code=code, state=state)


def _look(test: _Test, ev: Evidence, *, turn: int, panel: judge_error.Panel | None) -> Look:
    conditions = test.conditions(ev, turn)
    tested = turn >= test.early
    return Look(
        column=test.column,
        ranking=False,
        prompts=test.turns[turn],
        units=ev.units,
        chance=test.chance(ev, test.turns[turn]),
        p=test.p if tested else None,
        confidence=confidence_of(test.p, test.run.priors[test.column - 1]) if tested else None,
        gain=float(ev.gain[0]),
        conditions=conditions,
        measures=outcomes.measures(ev, 0),
        panel=panel,
        missing=float(ev.missing[0]),
    )


def _shortfall(*, passed: bool, panel: judge_error.Panel | None, scored: bool, enough: bool, at_limit: bool) -> str:
    """Return the code of what kept a candidate from being recommended."""
    if passed and panel is not None and not panel.fit:
        return "judge_unfit" if panel.unfit else "judges_disagree"
    if not scored:
        return "too_many_unscored"
    if passed and not enough:
        return "too_few_conversations"
    return "evidence_too_weak" if at_limit else "no_candidate_likely"


def _end(run: _Run, test: _Test, *, ev: Evidence, code: str, state: str) -> _Trial:
    look = run.seen[-1]
    run.findings[test.column] = Finding(test.column, state, run.start + look.prompts, look, code)
    return _Trial(test.column, test.p, code, ev)


# ------------------------------------------------------------------------------------------------ the protocol
def _protocol(run: _Run) -> Generator[Wanted, Samples, Outcome]:
    """Yield what must be measured, be sent those rows, return the outcome."""
    rules, candidates, total = run.policy, run.candidates, run.total
    order = _Ranked(tuple(range(1, candidates + 1)), (1 / candidates,) * candidates)
    if candidates >= rules.screen_from and total - min(rules.screen, total // 3) >= rules.least_prompts:
        ranked = yield from _rank(run)
        if isinstance(ranked, Outcome):
            return ranked
        order = ranked
    turns = looks.schedule(rules, total - run.start)
    trials: list[_Trial] = []
    for column, share in zip(order.columns, order.shares, strict=True):
        trials.append((yield from _try(run, _Test(run, column, share * rules.share, turns))))
        if trials[-1].code == "all_conditions_shown":
            break
    last = trials[-1]
    best = last if last.code == "all_conditions_shown" else min(trials, key=lambda trial: trial.p)
    confidence = confidence_of(best.p, run.priors[best.column - 1])
    return run.finish(best.code, leader=best.column, confidence=confidence, ev=best.ev)


def step(samples: Samples, policy: Policy, *, measured: npt.ArrayLike, total: int) -> Outcome | Wanted:
    """Return the outcome, or what must be measured before there is one.

    Depends on nothing but its arguments: call it from the start again after every batch, or after a crash.

    Args:
        samples: all rows so far, in sampling order; only rows that a look has reached are read.
        policy: frozen when the run was planned.
        measured: shape (1 + k,), leading rows that each column has.
        total: prompts that may be used at most.

    Raises:
        ValueError: naming the argument that makes no sense.
    """
    n, candidates = check(samples, policy)
    have = np.asarray(measured)
    if have.shape != (1 + candidates,) or (have > n).any():
        raise ValueError(f"measured: expected {1 + candidates} numbers of rows, at most {n}")
    found = _advance(samples, policy, have=have, total=total)
    if isinstance(found, Wanted):
        return found
    return dataclasses.replace(found, unmeasured=unmeasured(samples, policy))


def _advance(samples: Samples, policy: Policy, *, have: npt.NDArray[np.int64], total: int) -> Outcome | Wanted:
    candidates = have.size - 1
    if candidates == 0:
        return outcomes.nothing("no_candidate", candidates)
    if total < policy.least_prompts:  # nothing could come of it, so nothing is paid
        return outcomes.nothing("too_few_prompts", candidates)
    run = _Run(policy, candidates, total)
    protocol = _protocol(run)
    want = next(protocol)
    while True:
        if min(have[[0, *want.columns]]) < want.rows:
            return dataclasses.replace(want, looks=tuple(run.seen), findings=tuple(run.findings.values()))
        try:
            want = protocol.send(cut(samples, [0, *want.columns], first=want.first, last=want.rows))
        except StopIteration as end:
            return cast("Outcome", end.value)


def decide(samples: Samples, policy: Policy | None = None, *, total: int | None = None) -> Outcome:
    """Return the outcome on complete arrays; only the rows that a look has reached are ever read.

    Args:
        samples: complete rows in sampling order.
        policy: absent: the defaults.
        total: prompts that may be used at most; absent: the last look of the policy. Never more than there are rows.

    Raises:
        ValueError: naming the argument that makes no sense.
    """
    rules = policy or Policy()
    n, candidates = check(samples, rules)
    limit = min(rules.looks[-1] if total is None else total, n)
    # Nothing is wanted beyond `limit` rows, and all of these are here.
    return cast("Outcome", step(samples, rules, measured=np.full(1 + candidates, n), total=limit))
