"""What the pages of cases show: rows of the list, and one case with its answers beside each other, in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import QueryDict

from agentopt.lib import charts, judge_form
from evaluation import adaptation, cases, diffs, replay
from evaluation.cases import Case, Cases, Cell, OneCase, Side
from evaluation.models import Candidate, Evaluation, Replay
from evaluation.tool_calls import Compared, Match

FOLDED_FROM = 40  # lines of a message
MATCHES = {
    Match.NONE: "",
    Match.SAME: "same tools, same arguments",
    Match.REORDERED: "same tool calls in another order",
    Match.OTHER_ARGUMENTS: "same tools, other arguments",
    Match.OTHER_TOOLS: "other tools",
    Match.LACKING: "calls no tool",
    Match.UNASKED: "calls tools unasked",
}
SOURCES = {
    Replay.Source.LOGGED: "in production, as logged",
    Replay.Source.CALLED: "replayed",
    Replay.Source.CACHED: "reused, asked in an earlier run",
}


# ------------------------------------------------------------------------------------------------ asked for
@dataclass(frozen=True)
class Wanted:
    """What the address asks for; what makes no sense counts as absent."""

    position: int | None  # of the candidate
    show: str
    sort: str
    diff: str
    page: int
    use_case: str = ""  # the only one; "": all

    @classmethod
    def of(cls, query: QueryDict) -> "Wanted":
        place, page = query.get("with", ""), query.get("page", "")
        show, sort, diff = query.get("show", ""), query.get("sort", ""), query.get("diff", "")
        return cls(
            position=int(place) if place.isascii() and place.isdigit() else None,
            show=show if show in cases.SHOWN else "all",
            sort=sort if sort in cases.SORTS else "drop",
            diff=diff if diff in diffs.MODES else "words",
            page=max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 6 else 1,
            use_case=query.get("use_case", "")[:128],
        )

    def query(self, **changes: object) -> str:
        """The address' query with some values changed, without what is usual."""
        own: dict[str, object] = {"with": self.position, "show": self.show, "sort": self.sort, "diff": self.diff}
        own |= {"use_case": self.use_case} | changes
        usual = {"with": None, "show": "all", "sort": "drop", "diff": "words", "page": 1, "use_case": ""}
        told = {name: value for name, value in own.items() if value != usual[name]}
        return f"?{urlencode(told)}" if told else ""


@dataclass(frozen=True)
class Link:
    """A choice: its address, and whether it is the present one."""

    text: str
    href: str
    is_here: bool
    n: int | None = None
    tone: str = ""


def _tone(kind: str) -> str:
    return kind if kind in ("worse", "better") else ""


def kinds(found: Cases, wanted: Wanted, *, at: int) -> list[Link]:
    """The kinds of cases with their counts; kinds without a case are left out, but for the first four."""
    counts = found.counts(at)
    usual = ("all", "worse", "same", "better")
    return [
        Link(label, wanted.query(show=kind) or "?", kind == wanted.show, counts[kind], _tone(kind))
        for kind, (label, _) in cases.SHOWN.items()
        if kind in usual or counts[kind] or kind == wanted.show
    ]


# ------------------------------------------------------------------------------------------------ the list
@dataclass(frozen=True)
class Column:
    """A candidate's column, with counts that lead to its cases."""

    name: str
    color: str
    is_here: bool
    href: str
    kinds: list[Link]


@dataclass(frozen=True)
class Row:
    """One case of the list; `cells` in the order of the columns, the model in production apart."""

    case: Case
    href: str  # query of its page
    base: Cell
    cells: list["Shown"]
    notes: list[str]


@dataclass(frozen=True)
class Shown:
    """A candidate's cell: its score and change, or a word in their place."""

    cell: Cell
    word: str
    tone: str


@dataclass(frozen=True)
class CasesPage:
    """The list of cases."""

    baseline: str
    base_color: str
    columns: list[Column]
    kinds: list[Link]
    sorts: list[Link]
    rows: list[Row]
    n: int
    reached: int
    newer: str
    older: str
    limit: int
    candidate: str
    use_case: str  # the only one; "": all
    all_use_cases: str  # the same list of every use case


def listing(evaluation: Evaluation, wanted: Wanted) -> CasesPage:
    """A page of cases, compared for one candidate."""
    found = cases.read(evaluation).within(wanted.use_case)
    at = found.column(wanted.position)
    names = [arm.offer.name for arm in found.arms]
    colors = charts.series(names)
    shown = found.shown(at, kind=wanted.show, sort=wanted.sort)
    start = (wanted.page - 1) * cases.PAGE
    part = shown[start : start + cases.PAGE]
    order = [at, *(place for place in range(1, len(found.arms)) if place != at)] if at else []
    back, on = wanted.page - 1, wanted.page + 1
    return CasesPage(
        baseline=names[0] if names else "",
        base_color=colors[names[0]] if names else "",
        columns=[_column(found, wanted, place, at=at, colors=colors) for place in order],
        kinds=kinds(found, wanted, at=at),
        sorts=[
            Link(text, wanted.query(sort=sort) or "?", sort == wanted.sort)
            for sort, text in (("drop", "Largest drop"), ("case", "Case"))
        ],
        rows=[_row(one, order, wanted) for one in part],
        n=len(shown),
        reached=found.reached,
        newer=(wanted.query(page=back) or "?") if wanted.page > 1 else "",
        older=wanted.query(page=on) if start + cases.PAGE < len(shown) else "",
        limit=evaluation.limit,
        candidate=names[at] if at else "",
        use_case=wanted.use_case,
        all_use_cases=wanted.query(use_case="") or "?",
    )


def _column(found: Cases, wanted: Wanted, place: int, *, at: int, colors: Mapping[str, str]) -> Column:
    arm, counts = found.arms[place], found.counts(place)
    told = [
        Link(
            f"{counts[kind]} {kind}",
            f"{wanted.query(show=kind, **{'with': arm.position})}",
            is_here=False,
            tone=_tone(kind),
        )
        for kind in ("worse", "better", "same")
        if counts[kind]
    ]
    href = wanted.query(**{"with": arm.position}) or "?"
    return Column(arm.offer.name, colors[arm.offer.name], place == at, href, told)


def _row(case: Case, order: Sequence[int], wanted: Wanted) -> Row:
    cells = [_shown(case.cells[place]) for place in order]
    return Row(case, wanted.query(), case.cells[0], cells, _notes(case.cells[order[0]]) if order else [])


def _shown(cell: Cell) -> Shown:
    if cell.is_error:
        return Shown(cell, "failed" if cell.status == Replay.Status.FAILED else "not asked", "worse")
    change = cell.change
    tone = "" if change is None or abs(change) < cases.SAME else "worse" if change < 0 else "better"
    return Shown(cell, "not reached" if not cell.status else "" if cell.score is not None else "unscored", tone)


def _notes(cell: Cell) -> list[str]:
    said = [cell.reason.replace("_", " ")] if cell.reason and cell.is_error else []
    if cell.refused:
        said.append("refused")
    if cell.tools and not cell.tools.agrees:
        said.append(MATCHES[cell.tools.match])
    return said


# ------------------------------------------------------------------------------------------------ one case
@dataclass(frozen=True)
class Message:
    """A message of the prompt; long ones and system prompts are folded."""

    role: str
    text: str
    css: str
    is_folded: bool


@dataclass(frozen=True)
class Answer:
    """One model's answer as the page shows it."""

    side: Side
    name: str
    color: str
    source: str
    parts: tuple[diffs.Part, ...]
    lost: str  # why there is no answer; empty: there is one
    tools: list[str]  # its tool calls, one a line
    match: str  # against those of the log
    adapted: list[str]  # what was changed for this model
    others: list["Again"]

    @property
    def shown(self) -> Replay | None:
        return self.side.shown


@dataclass(frozen=True)
class Again:
    """Another answer of the same model to the same prompt."""

    row: Replay
    title: str
    is_same: bool


@dataclass(frozen=True)
class Scored:
    """A rubric's scores of both answers by each judge model, and the difference of their means."""

    rubric: str
    was: list[float | None]
    now: list[float | None]
    change: float | None


@dataclass(frozen=True)
class CasePage:
    """One case: a candidate's answer beside that of the model in production."""

    found: OneCase
    label: str
    headline: str
    messages: list[Message]
    n_folded: int
    sides: list[Answer]
    candidates: list[Link]
    kinds: list[Link]
    modes: list[Link]
    mode: str
    judges: list[str]
    scored: list[Scored]
    said: list[tuple[str, cases.Said]]
    spread: float | None
    allowed: float
    previous: str
    following: str
    place: int | None  # among the cases of this kind, from 1
    n: int
    back: str
    tools: Compared | None


def page(evaluation: Evaluation, position: int, wanted: Wanted) -> CasePage:
    """One case of an evaluation.

    Raises:
        NotFound: there is none.
    """
    whole = cases.read(evaluation)
    found, every = cases.one(evaluation, position, among=whole), whole.within(wanted.use_case)
    at = every.column(wanted.position)
    order = [one.position for one in every.shown(at, kind=wanted.show, sort=wanted.sort)]
    place = order.index(position) if position in order else None
    base, mine = found.sides[0], found.sides[at] if at else None
    diff = diffs.compare(_text(base), _text(mine), mode=wanted.diff)
    colors = charts.series(side.arm.offer.name for side in found.sides)
    parts = (diff.left, diff.right)
    sides = [
        _answer(side, part, base, colors) for side, part in zip([base, *([mine] if mine else [])], parts, strict=False)
    ]
    judges = sorted({one.model for side in (base, mine) if side for one in side.said})
    spreads = [side.cell.spread for side in (base, mine) if side and side.cell.spread is not None]
    return CasePage(
        found=found,
        label=str(position),
        headline=_headline(mine),
        messages=(messages := _messages(found)),
        n_folded=sum(one.is_folded for one in messages),
        sides=sides,
        candidates=[
            Link(side.arm.offer.name, wanted.query(**{"with": side.arm.position}), place == at)
            for place, side in enumerate(found.sides)
            if place
        ],
        kinds=kinds(every, wanted, at=at),
        modes=[Link(mode.capitalize(), wanted.query(diff=mode) or "?", mode == diff.mode) for mode in diffs.MODES],
        mode=diff.mode,
        judges=judges,
        scored=_scored(base, mine, judges),
        said=[(side.arm.offer.name, one) for side in (base, mine) if side for one in side.said if one.explanation],
        spread=max(spreads, default=None),
        allowed=every.allowed,
        previous=f"{order[place - 1]}" if place else "",
        following=f"{order[place + 1]}" if place is not None and place + 1 < len(order) else "",
        place=None if place is None else place + 1,
        n=len(order),
        back=wanted.query(),
        tools=mine.cell.tools if mine else None,
    )


def _text(side: Side | None) -> str:
    return side.shown.answer if side and side.shown else ""


def _headline(side: Side | None) -> str:
    if side is None or not side.cell.status:
        return "No candidate was asked this prompt yet"
    name, cell = side.arm.offer.name, side.cell
    if cell.status == Replay.Status.FAILED:
        return f"{name} failed: {cell.reason.replace('_', ' ')}"
    if cell.status == Replay.Status.MISSING:
        return f"{name} could not be asked: {cell.reason.replace('_', ' ')}"
    if cell.change is None:
        return f"{name} is not scored on this case"
    if abs(cell.change) < cases.SAME:
        return f"{name} scored the same"
    return f"{name} scored {abs(cell.change):.3f} {'lower' if cell.change < 0 else 'higher'}"


def _messages(found: OneCase) -> list[Message]:
    body = replay.logged_body(getattr(found.sample.record, "body", None)) or {"messages": []}
    out = []
    for one in body["messages"]:
        if not isinstance(one, dict):
            continue
        role, text = str(one.get("role", "")), judge_form.render_message(one)
        css = {"user": "user", "assistant": "model", "tool": "tool"}.get(role, "")
        out.append(
            Message(role, text, css, is_folded=role in ("system", "developer") or text.count("\n") >= FOLDED_FROM)
        )
    return out


def _answer(side: Side, parts: tuple[diffs.Part, ...], base: Side, colors: Mapping[str, str]) -> Answer:
    shown = side.shown
    name = side.arm.offer.name
    return Answer(
        side=side,
        name=name,
        color=colors[name],
        source=SOURCES[Replay.Source(shown.source)] if shown else "not asked",
        parts=parts,
        lost=_lost(side),
        tools=tools_of(shown) if shown else [],
        match=MATCHES[side.cell.tools.match] if side.cell.tools and side is not base else "",
        adapted=[adaptation.text_of(code) for code in adaptation.read(shown.adapted)] if shown else [],
        others=[_again(row, shown, side.arm) for row in side.others],
    )


def _lost(side: Side) -> str:
    shown = side.shown
    if shown is None:
        return "This model was not asked this prompt: it was dropped before, or its turn has not come."
    if shown.status == Replay.Status.ANSWERED:
        return "" if shown.answer or shown.tool_calls else "Nothing is kept of this answer."
    what = "Failed" if shown.status == Replay.Status.FAILED else "Could not be asked"
    return f"{what}: {shown.reason.replace('_', ' ')}." + (f" {shown.message}" if shown.message else "")


def _again(row: Replay, shown: Replay | None, arm: Candidate) -> Again:
    is_same = bool(shown and row.answer_hash == shown.answer_hash and row.tool_calls == shown.tool_calls)
    title = f"answer {row.repetition + 1}" if arm.position else f"called again, answer {row.repetition}"
    return Again(row, title, is_same and row.status == Replay.Status.ANSWERED)


def tools_of(row: Replay) -> list[str]:
    """Tool calls of an answer as text; they are shown, never executed."""
    out = []
    for call in row.tool_calls if isinstance(row.tool_calls, list) else []:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            out.append(f"{function.get('name') or 'unnamed'}({function.get('arguments') or ''})")
    return out


def _scored(base: Side, mine: Side | None, judges: Sequence[str]) -> list[Scored]:
    sides = [base, *([mine] if mine else [])]
    rubrics = sorted({one.rubric for side in sides for one in side.said})
    out = []
    for rubric in rubrics:
        rows = [[_mean(side, rubric, model) for model in judges] for side in sides]
        was, now = rows[0], rows[1] if mine else []
        pairs = [(a, b) for a, b in zip(was, now, strict=False) if a is not None and b is not None]
        change = sum(b - a for a, b in pairs) / len(pairs) if pairs else None
        out.append(Scored(rubric, was, now, change))
    return out


def _mean(side: Side, rubric: str, model: str) -> float | None:
    known = [one.score for one in side.said if (one.rubric, one.model) == (rubric, model) and one.score is not None]
    return sum(known) / len(known) if known else None
