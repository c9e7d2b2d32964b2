"""The whole path on recorded answers of real models and verdicts of real judges, through the product's own services.

    python -m benchmarks.recorded --recordings DIR --set qa|chat|segment --baseline MODEL
        [--candidates A,B] [--sample N] [--labels N] [--threshold C] [--seed S] [--db FILE] [--json]
    python -m benchmarks.recorded --recordings DIR --set qa|chat|segment --draws D [--limit L] [--labels N]
        [--threshold C] [--seed S] [--json]

Starts a sandbox over the recordings, makes a project in a scratch database (`--db` keeps and reuses one), imports the
baseline's recorded answers as its production logs, evaluates and recommends. No network beyond loopback; the same seed
prints the same bytes. No token counts and latencies are recorded, so quality alone decides.

With `--labels N` the judge counts as one of unknown kind. After a first evaluation the answers to its first N prompts
are labeled with what is recorded as right or wrong; then the same question is asked again, as a person would ask it.
What is printed is the second evaluation, and what the first one said.

With `--draws` the engine decides many random draws of models instead, without a database: benchmarks/recorded_draws.py.
"""

import argparse
import base64
import gzip
import hashlib
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluation.statistics.policy import HIGHEST_THRESHOLD, Policy

if TYPE_CHECKING:
    from benchmarks import recorded_draws
    from evaluation import services
    from evaluation.models import Evaluation
    from projects.models import Project

SETS = ("qa", "chat", "segment")
COMPARABLE = 0.95  # share of the baseline's prompts that a model must have answered
LOGGED_FROM = datetime(2026, 1, 1, tzinfo=UTC)
FORBIDDEN = ("DATABASE_URL", "JUDGE_MODELS", "PORTKEY_API_KEY", "PORTKEY_BASE_URL", "DEFAULT_REPLAY_SAMPLE_SIZE",
             "CONFIDENCE_THRESHOLD", "JUDGE_DISAGREEMENT_THRESHOLD", "MAX_EVALUATION_COST_USD", "DEBUG")  # fmt: skip
_NOTHING_TO_LABEL = "chat holds no recorded right or wrong: --labels needs qa or segment"
VERDICTS = {
    "passed": "recommended",
    "dropped": "dropped",
    "dropped_at_ranking": "dropped",
    "not_shown": "not_shown",
}


@dataclass
class Recorded:
    """One set: prompts in order, and each model's answers by prompt."""

    prompts: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    answers: dict[str, dict[str, str]] = field(default_factory=dict)
    right: dict[str, dict[str, float]] = field(default_factory=dict)  # the same, 1 or 0; chat has none
    judges: list[str] = field(default_factory=list)  # those with recorded verdicts; none: answers are right or wrong

    @classmethod
    def load(cls, folder: Path, name: str) -> "Recorded":
        """Read a set's prompts and answers.

        Raises:
            SystemExit: the folder does not hold the set.
        """
        found = cls()
        for row in _rows(folder, f"{name}_prompts"):
            found.prompts[row["prompt_id"]] = row
        for row in _rows(folder, f"{name}_completions"):
            found.answers.setdefault(row["model"], {})[row["prompt_id"]] = row["content"]
            if "correct" in row:
                found.right.setdefault(row["model"], {})[row["prompt_id"]] = float(row["correct"])
        if name == "chat":
            found.judges = sorted({row["judge"] for row in _rows(folder, f"{name}_verdicts")})
        return found

    def comparable(self, baseline: str) -> list[str]:
        """Models that answered nearly all prompts of the baseline."""
        own = self.answers[baseline].keys()
        return [
            model
            for model, theirs in sorted(self.answers.items())
            if model != baseline and len(own & theirs.keys()) >= COMPARABLE * len(own)
        ]


def scores(folder: Path, name: str) -> dict[str, float]:
    """Each model's mean recorded score over all that it answered: right or wrong, or the judge's own scale."""
    kept: dict[str, list[float]] = {}
    for row in _rows(folder, f"{name}_verdicts" if name == "chat" else f"{name}_completions"):
        score = row["score"] if name == "chat" else row["correct"]
        if score is not None:
            kept.setdefault(row["model"], []).append(float(score))
    return {model: sum(values) / len(values) for model, values in kept.items()}


def main() -> None:
    """Parse, prepare a scratch instance, run, print."""
    parser = _parser()
    options = parser.parse_args()
    if options.draws is not None:
        print(_draws(options))
        return
    recorded = Recorded.load(options.recordings, options.set)
    if options.labels and not recorded.right:
        sys.exit(_NOTHING_TO_LABEL)
    if options.baseline is None:
        means = scores(options.recordings, options.set)
        options.baseline = min(sorted(means), key=lambda model: means[model])
    candidates = [name for name in (options.candidates or "").split(",") if name]
    for name in (options.baseline, *candidates):
        if name not in recorded.answers:
            sys.exit(f"{name}: no such model in {options.set}. There are: {', '.join(sorted(recorded.answers))}")
    if options.baseline in candidates:
        sys.exit(f"{options.baseline}: a baseline is no candidate")
    with tempfile.TemporaryDirectory(prefix="agentopt-recorded-") as scratch:
        _set_up(Path(scratch), options.db, threshold=options.threshold)
        found = _benchmark(options, recorded, candidates or recorded.comparable(options.baseline), Path(scratch))
    print(json.dumps(found, ensure_ascii=False) if options.json else _text(found, baseline=options.baseline))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recorded", description=(__doc__ or "").split("\n")[0])
    given = os.environ.get("AGENTOPT_RECORDINGS") or Path(__file__).parent.parent / "tests/data/recordings"
    parser.add_argument(
        "--recordings", type=Path, default=Path(given), metavar="DIR", help="default: $AGENTOPT_RECORDINGS"
    )
    parser.add_argument("--set", choices=SETS, default="qa")
    parser.add_argument("--baseline", metavar="MODEL", help="default: the one with the lowest scores")
    parser.add_argument(
        "--candidates", metavar="A,B", help="default: all with answers to 95 %% of the baseline's prompts"
    )
    parser.add_argument("--sample", type=int, metavar="N", help="at most 3·N prompts per candidate")
    parser.add_argument("--threshold", type=_confidence, metavar="C", help="stated confidence needed; default 0.7")
    parser.add_argument("--draws", type=_count, metavar="D", help="decide so many random draws of models instead")
    parser.add_argument("--limit", type=_limit, default=300, metavar="L", help="prompts a draw may use; default 300")
    parser.add_argument(
        "--labels", type=_count, default=0, metavar="N", help="prompts whose recorded right or wrong people know"
    )
    parser.add_argument("--seed", type=int, default=7, metavar="S")
    parser.add_argument("--db", type=Path, metavar="FILE", help="SQLite database to keep and reuse")
    parser.add_argument("--json", action="store_true")
    return parser


def _confidence(text: str) -> float:
    value = float(text)
    if not 0.5 <= value <= HIGHEST_THRESHOLD:
        raise argparse.ArgumentTypeError(f"a number from 0.5 to {HIGHEST_THRESHOLD}")
    return value


def _count(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return int(text)


def _limit(text: str) -> int:
    if int(text) < Policy().least_prompts:
        raise argparse.ArgumentTypeError(f"at least {Policy().least_prompts}")
    return int(text)


def _draws(options: argparse.Namespace) -> str:
    """Decide random draws of the set's models and say how often the engine was right."""
    from benchmarks import recorded_draws

    judged = options.set == "chat"
    if options.labels and judged:
        sys.exit(_NOTHING_TO_LABEL)
    # right or wrong is known exactly; a recorded judge, or one that labels are to correct, is of unknown kind
    judge_sd = recorded_draws.UNKNOWN_JUDGE_SD if judged or options.labels else 0.0
    policy = Policy(threshold=options.threshold or Policy().threshold, judge_sd=judge_sd, margins=(("quality", 0.05),))
    question = recorded_draws.Question(policy, options.limit, options.labels)
    found = recorded_draws.report(_recordings(options), question, draws=options.draws, seed=options.seed)
    return json.dumps({"set": options.set, **found}, indent=None if options.json else 2)


def _recordings(options: argparse.Namespace) -> "dict[str, recorded_draws.Recording]":
    """Each model's scores in [0, 1] and answer lengths."""
    from benchmarks import recorded_draws

    kept: dict[str, dict[str, float]] = {}
    lengths: dict[str, dict[str, int]] = {}
    for row in _rows(options.recordings, f"{options.set}_completions"):
        lengths.setdefault(row["model"], {})[row["prompt_id"]] = len(row["content"])
        if options.set != "chat":
            kept.setdefault(row["model"], {})[row["prompt_id"]] = float(row["correct"])
    for row in _rows(options.recordings, "chat_verdicts") if options.set == "chat" else ():
        low, high = row["scale"]
        score = math.nan if row["score"] is None else (row["score"] - low) / (high - low)
        kept.setdefault(row["model"], {})[row["prompt_id"]] = score
    use_cases = {
        row["prompt_id"]: row.get("suite") or row.get("segment") or ""
        for row in _rows(options.recordings, f"{options.set}_prompts")
    }
    return {
        model: recorded_draws.Recording(
            {n: x for n, x in scored.items() if n in lengths[model]}, lengths[model], use_cases
        )
        for model, scored in kept.items()
    }


def _rows(folder: Path, stem: str) -> Iterator[dict[str, Any]]:
    for path in (folder / f"{stem}.jsonl.gz", folder / f"{stem}.jsonl"):
        if path.is_file():
            with (
                gzip.open(path, "rt", encoding="utf-8")
                if path.suffix == ".gz"
                else path.open(encoding="utf-8") as lines
            ):
                yield from (json.loads(line) for line in lines)
            return
    sys.exit(f"{folder} holds no {stem}.jsonl or {stem}.jsonl.gz")


def _set_up(scratch: Path, db: Path | None, *, threshold: float | None = None) -> None:
    """Start Django on a scratch instance; nothing of the caller's settings reaches it."""
    for name in FORBIDDEN:
        os.environ.pop(name, None)
    # fixed, so that a kept database can be read again; it guards nothing but this benchmark's own keys
    key = base64.urlsafe_b64encode(hashlib.sha256(b"benchmarks.recorded").digest()).decode()
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "agentopt.settings",
        "AGENTOPT_ENV_FILE": os.devnull,
        "AGENTOPT_ENCRYPTION_KEYS": key,
        "DATA_DIR": str(scratch),
        "DATABASE_URL": f"sqlite:///{(db or scratch / 'benchmark.sqlite3').resolve()}",
        "ALLOW_PRIVATE_ADDRESSES": "true",
        "LOG_LEVEL": "ERROR",
    }
    if threshold is not None:
        os.environ["CONFIDENCE_THRESHOLD"] = str(threshold)
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


# ------------------------------------------------------------------------------------------------ the run
def _benchmark(options: argparse.Namespace, recorded: Recorded, candidates: list[str], scratch: Path) -> dict[str, Any]:
    from agentopt.sandbox import server
    from evaluation import services

    shared = _shared_prompts(recorded, options.baseline, candidates)
    others = sorted(set(recorded.answers) - {options.baseline, *candidates}) if not options.candidates else []
    with server.running(recordings=options.recordings) as sandbox:
        project = _project(options, recorded, url=sandbox.url, scratch=scratch)
        wanted = project.logs.filter(source_id__in=shared).values_list("pk", flat=True)
        request = services.EvaluationRequest(
            candidates=tuple(candidates),
            sample=options.sample,
            seed=options.seed,
            baseline=options.baseline,
            records=list(wanted),
        )
        evaluation = _evaluated(project, request)
        found = _summary(evaluation, not_comparable=others)
        if not options.labels:
            return found
        labeled = _label(evaluation, recorded, prompts=options.labels)
        again = _summary(_evaluated(project, request), not_comparable=others)
    before = {name: found[name] for name in ("recommendation", "confidence", "reasons", "model_calls", "judge_calls")}
    return {**again, "labels": labeled, "before_labels": before}


def _evaluated(project: "Project", request: "services.EvaluationRequest") -> "Evaluation":
    """Open an evaluation and bring it to its end."""
    from evaluation import run, services
    from ingestion import gateway

    calls = gateway.open_gateway(project.connection)
    evaluation = services.open_evaluation(project, request, by=None, gateway=calls, now=_now())
    while not run.advance(evaluation, gateway=calls, now=_now, deadline=time.monotonic() + 60, beat=lambda **_: None):
        pass
    evaluation.refresh_from_db()
    return evaluation


def _label(evaluation: "Evaluation", recorded: Recorded, *, prompts: int) -> int:
    """Label all answers to the first so many prompts with what is recorded as right or wrong, and return how many."""
    from evaluation import labels
    from evaluation.models import HumanLabel, Replay

    first = evaluation.samples.order_by("position").values_list("pk", flat=True)[:prompts]
    rows = Replay.objects.filter(sample__in=list(first), repetition=0, again=False, status=Replay.Status.ANSWERED)
    said = [
        labels.Said(row, recorded.right[row.candidate.offer.name][row.sample.record.source_id])
        for row in rows.select_related("candidate__offer", "sample__record").order_by("pk")
    ]
    for start in range(0, len(said), labels.MOST_AT_ONCE):
        part = said[start : start + labels.MOST_AT_ONCE]
        labels.add(evaluation.project, part, rater="recorded", source=HumanLabel.Source.API, blind=True)
    return len(said)


def _now() -> datetime:
    return datetime.now(UTC)


def _shared_prompts(recorded: Recorded, baseline: str, candidates: list[str]) -> list[str]:
    """The population: prompts that the baseline and all candidates answered."""
    return sorted(set.intersection(*(set(recorded.answers[name]) for name in (baseline, *candidates))))


def _project(options: argparse.Namespace, recorded: Recorded, *, url: str, scratch: Path) -> "Project":
    """The project of this set and baseline: made, connected to the sandbox that runs now, its logs imported."""
    from evaluation import services
    from ingestion import imports
    from projects import services as projects
    from projects.models import Project, User

    owner = User.objects.filter(email="owner@example.com").first() or User.objects.create_user("owner@example.com")
    # of its own where there are labels: whether its judge is exact must not change
    name = f"{options.set} {options.baseline}{' labeled' if options.labels else ''}"[-80:]
    project = Project.objects.filter(name=name).first() or projects.create_project(name, owner=owner)
    projects.connect(project, base_url=url, api_key="recorded", by=owner)
    logs = scratch / f"{options.set}.jsonl"
    logs.write_text("".join(_log_lines(recorded, options.baseline)), encoding="utf-8")
    imported = imports.import_file(project, logs, format="openai")
    if imported.set_aside:
        sys.exit(f"{imported.set_aside} recorded answers could not be read as logs")
    if recorded.judges:
        services.set_judges(project, recorded.judges, rubrics=["quality"])
    else:
        services.set_judges(project, ["recorded-reference"], rubrics=["correctness"], exact=not options.labels)
    return project


def _log_lines(recorded: Recorded, model: str) -> Iterator[str]:
    """A model's recorded answers as request and response, one call a minute; no tokens and latencies are known."""
    for i, (prompt_id, content) in enumerate(sorted(recorded.answers[model].items())):
        prompt = recorded.prompts[prompt_id]
        row = {
            "id": prompt_id,
            "trace_id": prompt_id,
            "created_at": (LOGGED_FROM + timedelta(minutes=i)).isoformat(),
            "request": {"model": model, "messages": prompt["messages"]},
            "response": {
                "object": "chat.completion",
                "model": model,
                "choices": [
                    {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
                ],
            },
            "metadata": {"use_case": prompt.get("suite") or prompt.get("segment") or ""},
        }
        yield json.dumps(row, ensure_ascii=False) + "\n"


# ------------------------------------------------------------------------------------------------ the report
def _summary(evaluation: "Evaluation", *, not_comparable: list[str]) -> dict[str, Any]:
    from evaluation import selectors
    from recommendations import services as recommendations

    reasons = [reason["code"] for reason in recommendations.recommend(evaluation, now=_now()).reasons]
    found = selectors.detail(evaluation)
    rows = []
    for arm in found.arms[1:]:
        seen = arm.quality
        rows.append({
            "model": arm.name,
            "prompts": seen.prompts if seen else 0,
            "quality_difference": seen.estimate if seen else None,
            "interval": [seen.low, seen.high] if seen else None,
            "verdict": VERDICTS.get(arm.state, "not_reached"),
        })  # fmt: skip
    nothing = {"prompts": 0, "quality_difference": None, "interval": None, "verdict": "not_comparable"}
    return {
        "recommendation": found.row.recommended,
        "confidence": found.row.confidence,
        "reasons": reasons,
        "candidates": rows + [{"model": model, **nothing} for model in not_comparable],
        "model_calls": found.spend.model_calls,
        "judge_calls": found.spend.judge_calls,
        "unscored": sum(tally.count for tally in found.tallies if tally.kind == "unscored"),
    }


def _text(found: dict[str, Any], *, baseline: str) -> str:
    said = found["recommendation"] or "NO RECOMMENDATION"
    lines = [f"{baseline}: {said}, confidence {found['confidence']}", f"  {', '.join(found['reasons'])}"]
    for row in found["candidates"]:
        seen = ""
        if row["quality_difference"] is not None:
            low, high = row["interval"]
            seen = f", quality {row['quality_difference']:+.3f} [{low:+.3f}, {high:+.3f}]"
        lines.append(f"  {row['model']}: {row['verdict']}, {row['prompts']} prompts{seen}")
    lines.append(
        f"  {found['model_calls']} model calls, {found['judge_calls']} judge calls, {found['unscored']} unscored"
    )
    if "labels" in found:
        before = found["before_labels"]["recommendation"] or "NO RECOMMENDATION"
        lines.append(f"  {found['labels']} labels; before them: {before}, {found['before_labels']['confidence']}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
