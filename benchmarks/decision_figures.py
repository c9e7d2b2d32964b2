"""The figures and tables of docs/algorithms/decision.md, out of what `benchmarks.decision --json` printed.

    python -m benchmarks.decision --runs 2400 --json > FILE
    python -m benchmarks.decision_figures FILE [--into docs/img]

Writes decision_reliability.svg and decision_methods.svg, and prints the tables as Markdown.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

OURS = "agentopt, at most 300, logs known"
SHOWN = {  # method: color, readable on light and dark
    OURS: "#2563eb",
    "textbook (clustered t, 10 % / k), n = 200": "#d97706",
    "paired bootstrap 0.7, peeking": "#dc2626",
}
_SHORT = {OURS: "agentopt", "textbook (clustered t, 10 % / k), n = 200": "textbook, n = 200",
          "paired bootstrap 0.7, peeking": "peeking bootstrap"}  # fmt: skip
_INK, _GRID = "#6b7280", "#9ca3af"
Shape = list[str]


def reliability(methods: Sequence[dict[str, Any]]) -> str:
    """Return what was right against what was stated, with 95 % intervals, as SVG."""
    left, top, width, height = 60, 24, 400, 320

    def x(stated: float) -> float:
        return left + (stated - 0.65) / 0.35 * width

    def y(right: float) -> float:
        return top + (1 - right) * height

    shapes = [_line(x(0.65), y(0.65), x(1), y(1), _GRID, dash=True), _text(x(0.70), y(0.62), "as stated", _INK)]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        shapes += [
            _line(left, y(share), left + width, y(share), _GRID, thin=True),
            _text(26, y(share) + 4, f"{share:g}"),
        ]
    for share in (0.7, 0.8, 0.9, 1.0):
        shapes.append(_text(x(share) - 10, top + height + 20, f"{share:g}"))
    shapes += [_text(left + 130, top + height + 42, "stated confidence"), _text(left, 14, "right, of those issued")]
    for place, method in enumerate(m for m in methods if m["method"] in SHOWN):
        color = SHOWN[method["method"]]
        for band in method["reliability"]:
            if band["right"] is None:
                continue
            at = x(band["stated"]) + 3 * (place - 1)
            low, high = band["right_interval"]
            shapes += [_line(at, y(low), at, y(high), color), _dot(at, y(band["right"]), color)]
    return _svg(left + width + 200, top + height + 56, shapes + _legend(left + width + 20, top + 20))


def by_candidates(methods: Sequence[dict[str, Any]]) -> str:
    """Return wrong recommendations, power and answers by the number of candidates, as SVG."""
    panels = (
        ("wrong, share of runs", "wrong", 0.5),
        ("power", "power", 1.0),
        ("answers a candidate", "answers", 250.0),
    )
    shapes: Shape = []
    for column, (title, key, most) in enumerate(panels):
        left, top, height = 20 + 220 * column, 30, 180
        shapes += [_text(left, 16, title), _line(left, top + height, left + 190, top + height, _GRID)]
        chosen = [m for m in methods if m["method"] in SHOWN]
        for place, method in enumerate(chosen):
            for group, (k, row) in enumerate(method["by_candidates"].items()):
                value = row[key] or 0.0
                at, tall = left + 64 * group + 18 * place, min(value / most, 1.0) * height
                color = SHOWN[method["method"]]
                shapes.append(
                    f'<rect x="{at:.1f}" y="{top + height - tall:.1f}" width="15" height="{tall:.1f}" fill="{color}"/>'
                )
                label = f"{value:.0f}" if key == "answers" else f"{value:.2f}".lstrip("0")
                shapes.append(_text(at - 2, top + height - tall - 4, label, size=9))
                if place == 0:
                    shapes.append(_text(at + 20, top + height + 16, k))
        shapes.append(_text(left + 56, top + height + 34, "candidates"))
    return _svg(860, 270, shapes + _legend(690, 40))


def _legend(left: float, top: float) -> Shape:
    shapes = []
    for place, (name, color) in enumerate(SHOWN.items()):
        shapes += [_dot(left, top + 20 * place, color), _text(left + 10, top + 20 * place + 4, _SHORT[name])]
    return shapes


def _line(x1: float, y1: float, x2: float, y2: float, color: str, *, dash: bool = False, thin: bool = False) -> str:
    extra = ' stroke-dasharray="5 4"' if dash else ' stroke-opacity="0.4"' if thin else ' stroke-width="2"'
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}"{extra}/>'


def _dot(x: float, y: float, color: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{color}"/>'


def _text(x: float, y: float, said: str, color: str = _INK, *, size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{color}">{said}</text>'


def _svg(width: float, height: float, shapes: Shape) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" font-family="sans-serif">'
    return "\n".join([head, *shapes, "</svg>", ""])


# ------------------------------------------------------------------------------------------------ tables
def tables(found: dict[str, Any]) -> str:
    """Return the tables of the page as Markdown."""
    methods = found["methods"]
    ours = next(method for method in methods if method["method"] == OURS)
    lines = [_head("method"), *(_row(m["method"], m["total"]) for m in methods), ""]
    lines.append("| method | just past a bar, recommended | 95 % interval | error level |\n| --- | --- | --- | --- |")
    for method in methods:
        past = method["just_past"]
        low, high = past["wrong_interval"] or (None, None)
        lines.append(
            f"| {method['method']} | {_percent(past['wrong'])} | {_percent(low)} to {_percent(high)}"
            f" | {_percent(past['alpha'])} |"
        )
    lines += ["", "| stated | issued | mean stated | right | 95 % interval |", "| --- | --- | --- | --- | --- |"]
    for band in ours["reliability"]:
        low, high = band["right_interval"] or (None, None)
        lines.append(
            f"| {band['from']:.2f} to {band['to']:.2f} | {band['issued']} | {_number(band['stated'])}"
            f" | {_number(band['right'])} | {_number(low)} to {_number(high)} |"
        )
    groups = {"candidates": "candidates", "mix": "candidates are", "setting": "prompts and judges", "family": "family"}
    for group, title in groups.items():
        lines += ["", _head(title), *(_row(name, row) for name, row in ours[f"by_{group}"].items())]
    return "\n".join(lines)


def _head(name: str) -> str:
    return f"| {name} | runs | wrong, of all | right, of issued | stated | power | answers |\n" + "| --- " * 7 + "|"


def _row(name: str, row: dict[str, Any]) -> str:
    return (
        f"| {name} | {row['runs']} | {_percent(row['wrong'])} | {_number(row['right'])} | {_number(row['stated'])}"
        f" | {_number(row['power'])} | {row['answers']:.0f} |"
    )


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def main() -> None:
    """Draw and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.decision_figures", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("file", type=Path, help="what benchmarks.decision --json printed")
    parser.add_argument("--into", type=Path, default=Path("docs/img"), metavar="DIR")
    options = parser.parse_args()
    found = json.loads(options.file.read_text(encoding="utf-8"))
    for name, drawn in (("reliability", reliability(found["methods"])), ("methods", by_candidates(found["methods"]))):
        (options.into / f"decision_{name}.svg").write_text(drawn, encoding="utf-8")
    print(tables(found))


if __name__ == "__main__":
    main()
