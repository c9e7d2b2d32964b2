"""The leader within each use case, and when that makes the move a mixed one."""

from collections.abc import Callable
from typing import Any

from django.test import Client

from evaluation import by_use_case
from projects.models import Project, User
from recommendations import explain
from tests.recommendations import documents


def _row(name: str, estimate: float, *, half: float = 0.05, prompts: int = 30, worse: bool = False) -> dict[str, Any]:
    return {"use_case": name, "prompts": prompts, "raw": estimate, "estimate": estimate, "low": estimate - half,
            "high": estimate + half, "chance_worse": 0.95 if worse else 0.1, "worse": worse}  # fmt: skip


def _evidence(*rows: dict[str, Any]) -> dict[str, Any]:
    return documents.recommended() | {"use_cases": list(rows)}


def test_findings_in_words_lean_from_three_quarters_of_a_standard_error_on() -> None:
    # by hand: half width 0.05 is a standard error of 0.0255; ±0.0191 leans
    found = by_use_case.lines(
        _evidence(
            _row("a", 0.018, prompts=50), _row("b", -0.020, prompts=40), _row("c", 0.020), _row("d", -0.2, worse=True)
        )
    )

    assert [(row.name, row.finding) for row in found] == [
        ("a", "about the same"),
        ("b", "leans worse"),
        ("c", "leans better"),
        ("d", "worse than allowed"),
    ]
    assert found[3].difference == "−0.200"


def test_a_flagged_use_case_makes_the_move_a_mixed_one() -> None:
    evidence = _evidence(_row("orders", 0.0), _row("refunds", -0.2, worse=True), _row("returns", -0.2, worse=True))

    said = by_use_case.mixed(evidence)

    assert said.startswith("Mixed: corvus-medium for the rest, stay with aurora-large for refunds and returns,")
    assert said in explain.lead(evidence)


def test_nothing_is_mixed_without_a_flag_or_without_a_recommendation() -> None:
    assert by_use_case.mixed(_evidence(_row("orders", 0.0), _row("refunds", -0.03))) == ""
    assert by_use_case.mixed(documents.not_shown() | {"use_cases": [_row("a", -0.2, worse=True), _row("b", 0)]}) == ""
    assert by_use_case.lines(documents.recommended()) == []


def _plain(name: str, prompts: int, **numbers: Any) -> dict[str, Any]:
    """A use case as it was measured."""
    usual = {"share": prompts / 100, "scored": prompts, "now": 0.8, "then": 0.9, "better": prompts, "same": 0,
             "worse": 0, "saving_usd": 2.0 * prompts, "low_usd": 1.5 * prompts, "high_usd": 2.5 * prompts}  # fmt: skip
    return {"use_case": name, "prompts": prompts} | usual | numbers


def test_shares_and_savings_stand_beside_findings_and_small_use_cases_are_one_line() -> None:
    plain = [_plain("orders", 60), _plain("refunds", 25), _plain("a", 6), _plain("b", 5), _plain("c", 4, then=0.5)]
    found = by_use_case.lines(_evidence(_row("orders", 0.0), _row("refunds", -0.2)) | {"by_use_case": plain})

    orders, refunds, small = found
    assert (orders.share, orders.measured, orders.moved, orders.saving) == (
        "60\u202f%", "0.800 → 0.900", "60 · 0 · 0", "$120",
    )  # fmt: skip
    assert refunds.saving_interval == "($37.50 to $62.50)"
    # by hand: 15 prompts; (6 · 0.9 + 5 · 0.9 + 4 · 0.5) / 15 = 0.793; 2 · 15 dollars
    assert (small.name, small.about, small.prompts) == ("3 smaller use cases", "a, b, c", 15)
    assert (small.share, small.measured, small.saving) == ("15\u202f%", "0.800 → 0.793", "$30.00")
    assert (small.finding, small.difference, small.range) == ("too few to tell", "–", None)


def test_numbers_of_the_page_lead_to_their_rows(
    project: Project, reader: User, client_of: Callable[[User], Client]
) -> None:
    evidence = _evidence(_row("orders", 0.0), _row("refunds", -0.2, worse=True))
    evidence |= {"by_use_case": [_plain("orders", 60), _plain("refunds & more", 25)]}
    evidence["changes"] = [{"name": name, "value": 0.0, "recommended": None, "confidence": 0.5, "code": ""}
                           for name in ("smallest_margin", "smallest_weight_of_latency")]  # fmt: skip
    made = documents.store(project, evidence)

    text = client_of(reader).get(made.get_absolute_url()).content.decode()

    evaluation = f"/p/{project.slug}/evaluations/1"
    cases = f"{evaluation}/cases/"
    for address in (f"{cases}?with=1", f"{cases}?with=1&amp;show=unanswered", f"{cases}?show=worse",
                    f"{cases}?use_case=orders", f"{cases}?use_case=refunds%20%26%20more", f"{evaluation}/costs/",
                    f"{evaluation}/replay/", f"{evaluation}/coverage/", f"/p/{project.slug}/logs/"):  # fmt: skip
        assert f'href="{address}' in text
    assert "stay with aurora-large for refunds" in text
    assert "Each 10,000 calls a month more or less" in text
    # by hand: 1168 / 212000 · 10000
    assert "$55.09 of saving, stands" in text
