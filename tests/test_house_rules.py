"""Rules of the house that no tool knows."""

import ast
import re
import subprocess
import sys
from pathlib import Path

from django.apps import apps

ROOT = Path(__file__).resolve().parent.parent
ORDER = ["projects", "ingestion", "evaluation", "recommendations"]
PURE = """
    projects/values.py ingestion/values.py ingestion/privacy.py ingestion/hashing.py ingestion/tally.py
    ingestion/refusals.py ingestion/formats/*.py ingestion/containers/*.py
    ingestion/catalog/pricing.py ingestion/gateway/base.py ingestion/gateway/errors.py ingestion/analytics/requests.py
    ingestion/clustering.py ingestion/sketches.py ingestion/cubes.py ingestion/cube_parts.py ingestion/grouped.py
    ingestion/analytics/metrics.py ingestion/analytics/figures.py ingestion/analytics/sources.py
    ingestion/analytics/answers.py agentopt/lib/intervals.py
    ingestion/plots.py ingestion/explorer_plots.py evaluation/plots.py recommendations/plots.py
    recommendations/overview_plots.py
    evaluation/adaptation.py evaluation/tool_calls.py evaluation/repeating.py evaluation/diffs.py
    evaluation/values.py evaluation/policy.py evaluation/selection.py evaluation/sampling.py evaluation/budget.py
    evaluation/ranking.py evaluation/traffic.py evaluation/learning.py evaluation/measurements.py
    evaluation/findings.py evaluation/settling.py evaluation/savings.py evaluation/by_use_case.py
    evaluation/breakdown.py evaluation/changes.py evaluation/grounds.py evaluation/conditions.py
    evaluation/statistics/*.py
    evaluation/judges/base.py evaluation/judges/rules.py evaluation/judges/parsing.py evaluation/judges/panel.py
    evaluation/judges/leanings.py
    projects/notifications/kinds.py projects/notifications/quiet.py
    recommendations/drift/scales.py recommendations/drift/references.py recommendations/drift/detectors.py
    recommendations/drift/snapshots.py recommendations/drift/columns.py recommendations/drift/values.py
    recommendations/drift/series.py recommendations/drift/events.py recommendations/drift/plots.py
    recommendations/engine.py recommendations/explain.py
    recommendations/states.py recommendations/promises.py recommendations/takeover.py recommendations/reports.py
    recommendations/following.py
    recommendations/retelling.py
    agentopt/lib/money.py agentopt/lib/wording.py agentopt/lib/windows.py agentopt/lib/judge_form.py
    agentopt/lib/patterns.py
    agentopt/sandbox/*.py
"""
HEAVY = ("numpy", "scipy", "pandas", "portkey_ai", "aiohttp", "sklearn", "genai_prices", "pyarrow", "opentelemetry",
         "google", "threadpoolctl")  # fmt: skip


def tracked(*patterns: str) -> list[Path]:
    """Files git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def imported(path: Path) -> set[str]:
    """Names of all modules that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def test_foreign_keys_point_downwards() -> None:
    upward = [
        f"{model._meta.label}.{field.name}"
        for app in ORDER
        for model in apps.get_app_config(app).get_models()
        for field in model._meta.get_fields()
        if field.many_to_one and field.concrete and field.related_model._meta.app_label in ORDER[ORDER.index(app) + 1 :]  # type: ignore[union-attr]
    ]

    assert upward == []


def test_the_core_imports_no_django() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for pattern in PURE.split()
        for path in ROOT.glob(pattern)
        for name in imported(path)
        if name.split(".")[0] in {"django", "rest_framework", "requests"}
        or name.split(".")[-1] in {"models", "services", "selectors"}
    ]

    assert wrong == []


def test_migrations_import_no_app() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in tracked("*/migrations/*.py")
        for name in imported(path)
        if name.split(".")[0] in ORDER
        and not name.startswith(f"{path.parent.parent.name}.models")
        and name != "projects.models"
    ]

    assert wrong == []


def test_pages_and_api_never_start_from_a_models_manager() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in tracked("*/views.py", "*/api.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"\b[A-Z]\w+\.objects\b", line)
    ]

    assert wrong == []


def test_files_and_functions_keep_to_their_size() -> None:
    long = []
    for path in tracked("*.py"):
        if "/migrations/" in str(path):
            continue
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > 500:
            long.append(f"{path.relative_to(ROOT)}: {text.count(chr(10))} lines")
        if str(path.relative_to(ROOT)).startswith(("tests/", "benchmarks/")):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno >= 60:
                long.append(f"{path.relative_to(ROOT)}:{node.name} {(node.end_lineno or 0) - node.lineno + 1} lines")

    assert long == []


def test_every_package_says_in_one_sentence_what_it_is() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in tracked("*/__init__.py")
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]

    assert silent == []


def test_no_module_is_a_drawer() -> None:
    drawers = [
        str(path.relative_to(ROOT)) for path in tracked("*.py") if path.stem in {"utils", "helpers", "common", "misc"}
    ]

    assert drawers == []


def test_no_template_marks_text_as_safe_or_styles_inline() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {found}"
        for path in tracked("templates/*.html", "templates/**/*.html")
        for found in re.findall(
            r"\|\s*safe\b|autoescape off|\sstyle=|\son(?!e=)[a-z]{3,}=|javascript:", path.read_text(encoding="utf-8")
        )
    ]

    assert wrong == []


def test_colours_stand_in_the_token_layer_only() -> None:
    css = (ROOT / "static/agentopt.css").read_text(encoding="utf-8")
    tokens = css[css.index("@layer tokens {") : css.index("@layer base {")]

    elsewhere = re.findall(r"#[0-9a-fA-F]{3,8}\b", re.sub(r"/\*.*?\*/", "", css.replace(tokens, ""), flags=re.DOTALL))

    assert elsewhere == []


def test_setting_up_the_web_process_loads_no_heavy_library() -> None:
    code = (
        "import sys, django; django.setup(); from django.urls import get_resolver; get_resolver().url_patterns; "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )

    out = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True,
        env={"DJANGO_SETTINGS_MODULE": "tests.settings", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip

    assert out.stdout.strip() == "[]"
