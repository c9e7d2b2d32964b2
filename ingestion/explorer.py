"""The analytics page: a sentence's answers, as a figure and a table. Reads only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from agentopt.lib.charts import Chart, Table
from ingestion import analytics, explorer_plots
from ingestion.explorer_plots import NOTHING, Line, said
from ingestion.forms.analytics import GROUPS, LIMIT, QuestionForm
from projects.models import Project

SHOWN = 5  # groups of a figure; the table has all


@dataclass(frozen=True)
class Finding:
    """What the page shows: the question as the API takes it, its answer, a figure and a table."""

    question: Mapping[str, Any]
    answer: Mapping[str, Any]
    title: str
    table: Table
    chart: Chart | None = None
    tokens: Mapping[str, str] = field(default_factory=dict)  # colors of the names in the first column


def find(project: Project, form: QuestionForm, *, now: datetime) -> Finding:
    """Answer what the form asks.

    Raises:
        Invalid: the engine refuses the question.
        AgentOptError: it would read or last too long.
    """
    question = form.question(now)
    answer = _ask(project, question)
    if form.kind_chosen == "time":
        return _over_time(project, form, question, answer, now=now)
    if form.kind_chosen == "percentiles":
        return _percentiles(form, question, answer)
    if form.kind_chosen == "distribution":
        chart = explorer_plots.histogram(answer)
        return Finding(question, answer, "Calls by value", explorer_plots.bins(answer), chart)
    if form.kind_chosen == "correlation":
        return Finding(
            question, answer, f"Correlation, {answer['method'].capitalize()}", explorer_plots.correlations(answer)
        )
    return Finding(question, answer, "Use cases", explorer_plots.use_cases(answer))


def _ask(project: Project, question: Mapping[str, Any]) -> dict[str, Any]:
    return analytics.answer(project, analytics.read(question))


def _name(row: Mapping[str, Any], group: str) -> str:
    """The group of a row as people read it."""
    value = row["group"].get(group) if group else None
    if group == "use_case":
        return str(value) if value else "no use case yet"
    return str(value) if value else NOTHING


def _title(figure: str, group: str) -> str:
    said_as = explorer_plots.capital(figure)
    return f"{said_as} by {GROUPS[group]}" if group else said_as


def _over_time(
    project: Project,
    form: QuestionForm,
    question: Mapping[str, Any],
    answer: Mapping[str, Any],
    *,
    now: datetime,
) -> Finding:
    """The figure follows the largest groups through time; the table has every group over the whole window."""
    measure, group, unit = form.measure, form.group, form.unit
    value = _reader(measure.quantile)
    rows = sorted(answer["rows"], key=lambda row: (-row["n"], str(row["group"])))
    largest = [row["group"][group] for row in rows[:SHOWN] if row["group"].get(group)] if group else []
    lines = _lines(project, form, now=now, largest=largest, others=len(rows) > SHOWN)
    tokens = {line.name: line.token for line in lines}
    total = sum(row["n"] for row in rows)
    unit_said = answer["metric"]["unit"]
    head = [GROUPS[group].capitalize() if group else "Which", "Calls", "Share"]
    cells = [
        [
            _name(row, group) if group else "All calls",
            f"{row['n']:,}",
            said(row["n"] / total if total else None, "share"),
        ]
        for row in rows
    ]
    if measure.metric != "calls":  # which are counted already
        head.append(explorer_plots.capital(measure.label))
        cells = [[*cell, said(value(row), unit_said)] for cell, row in zip(cells, rows, strict=True)]
    chart = explorer_plots.over_time(
        lines, measure=measure.label, unit=unit_said, bucket=unit, stacked=measure.additive, window=answer["window"]
    )
    return Finding(question, answer, _title(measure.label, group), Table(head, cells), chart, tokens=tokens)


def _lines(
    project: Project,
    form: QuestionForm,
    *,
    now: datetime,
    largest: Sequence[str],
    others: bool,
) -> list[Line]:
    measure, group, unit, common = form.measure, form.group, form.unit, form.common(now)
    value = _reader(measure.quantile)
    ask = {**measure.ask, "limit": LIMIT, **common}
    if not group:
        found = _ask(project, {**ask, "group_by": [unit]})
        return explorer_plots.lines(
            {"": [(row["group"][unit], value(row)) for row in found["rows"]]}, {"": "All calls"}
        )
    series: dict[str, list[tuple[str, Any]]] = {name: [] for name in largest}
    if largest:
        narrowed = {**common.get("filters", {}), group: list(largest)}
        for row in _ask(project, {**ask, "group_by": [unit, group], "filters": narrowed})["rows"]:
            series[row["group"][group]].append((row["group"][unit], value(row)))
    said_as = {name: _name({"group": {group: name}}, group) for name in series}
    found_lines = explorer_plots.lines(series, said_as)
    if others and measure.additive:
        whole = _ask(project, {**ask, "group_by": [unit]})
        found_lines.append(
            explorer_plots.rest([(row["group"][unit], value(row)) for row in whole["rows"]], found_lines)
        )
    return found_lines


def _reader(quantile: str) -> Any:
    """What reads the figure out of a row."""
    if quantile:
        return lambda row: row["values"][quantile]
    return lambda row: row["value"]


def _percentiles(form: QuestionForm, question: Mapping[str, Any], answer: Mapping[str, Any]) -> Finding:
    rows = sorted(answer["rows"], key=lambda row: (-row["n"], str(row["group"])))
    named = [(_name(row, form.group) if form.group else "All calls", row) for row in rows]
    chart = explorer_plots.dumbbell(named[:8], answer["metric"])
    title = _title(str(answer["metric"]["name"]).replace("_", " "), form.group)
    return Finding(question, answer, title, explorer_plots.percentiles(named, answer["metric"]), chart)
