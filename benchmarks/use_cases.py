"""Use cases: what clustering finds in known kinds, beside plain k-means; and what 100,000 prompts cost.

    AGENTOPT_RECORDINGS=DIR python -m benchmarks.use_cases [--json] [--prompts 100000] [--seeds 5]

Agreement with the known kinds is the adjusted Rand index (1: the same partition, 0: chance). The baseline is what one
would write first: TF-IDF as it comes, then k-means, once with as many clusters as we chose and once told the true
number. Cost is measured in a process of its own: CPU-seconds from texts to labels and peak memory above the imports.
"""

import argparse
import gzip
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ingestion import clustering

CHUNK = 2000


@dataclass(frozen=True)
class Finding:
    """One set of texts: what was found, and what plain k-means finds."""

    name: str
    texts: int
    kinds: int
    clusters: int
    ari: float
    ari_told: float
    plain_same: float
    plain_told: float
    purity: float


# ------------------------------------------------------------------------------------------------ texts of known kind
def _rows(folder: Path, name: str) -> list[dict[str, Any]]:
    with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _calls(folder: Path, text: str) -> tuple[list[str], list[str], list[str], list[int]]:
    """Texts, domains and first expected change of each call of the recorded runs, and the run each belongs to."""
    texts, domains, wants, runs = [], [], [], []
    for number, row in enumerate(_rows(folder, "agent_trajectories")):
        asked: list[str] = []
        for message in row["messages"]:
            if message["role"] == "user":
                asked.append(str(message["content"] or ""))
            elif message["role"] == "assistant" and asked:
                body = {"messages": [{"role": "user", "content": turn} for turn in _chosen(asked, text)]}
                texts.append(clustering.asked(json.dumps(body)))
                domains.append(row["domain"])
                wants.append(_want(row))
                runs.append(number)
    return texts, domains, wants, runs


def _chosen(asked: Sequence[str], text: str) -> Sequence[str]:
    return {"first": asked[:1], "last": asked[-1:], "all": asked}[text]


def _want(row: dict[str, Any]) -> str:
    """The first change of data that the author of a task expects; "none": the agent must refuse."""
    changes = ("book", "cancel", "update", "modify", "return", "exchange", "send")
    names = [action["name"] for action in row["expected_actions"] or ()]
    return next((name for name in names if name.startswith(changes)), "none")


def planted(n: int, *, kinds: int, seed: int) -> tuple[list[str], list[int]]:
    """Prompts of 8 to 40 words: half from 60 words of their kind, half from 5,000 words as frequent as in life."""
    rng = random.Random(seed)  # noqa: S311
    vocabulary = ["".join("bdfgklmnprstvz"[place // 14**at % 14] + "aeiou"[place % 5] for at in range(3)) + "q"
                  * (place % 3) + "aeiou"[place // 5 % 5] for place in range(5000)]  # fmt: skip
    frequent = [1 / rank for rank in range(1, 5001)]
    own = [rng.sample(vocabulary[100:], 60) for _ in range(kinds)]
    sizes = [rng.gammavariate(3, 1) for _ in range(kinds)]
    labels = rng.choices(range(kinds), sizes, k=n)
    common = iter(rng.choices(vocabulary, frequent, k=25 * n))
    texts = []
    for label in labels:
        length = rng.randint(8, 40)
        texts.append(" ".join(rng.choice(own[label]) if rng.random() < 0.5 else next(common) for _ in range(length)))
    return texts, labels


# ------------------------------------------------------------------------------------------------ what is found
def findings(folder: Path, *, seeds: int) -> Iterator[Finding]:
    """Each set of recorded texts in turn."""
    for name, kind in (("segment_prompts", "segment"), ("qa_prompts", "suite")):
        rows = _rows(folder, name)
        texts = [clustering.asked(json.dumps({"messages": row["messages"]})) for row in rows]
        yield _finding(f"{name} by {kind}", texts, [row[kind] for row in rows], range(len(rows)), seeds=seeds)
    for text in ("first", "last", "all"):
        texts, domains, wants, runs = _calls(folder, text)
        yield _finding(f"agent_trajectories by domain, {text} user turns", texts, domains, runs, seeds=seeds)
        yield _finding(f"agent_trajectories by want, {text} user turns", texts, wants, runs, seeds=seeds)
    texts, labels = planted(4000, kinds=12, seed=1)
    yield _finding("planted, 12 kinds", texts, labels, range(len(texts)), seeds=seeds)


def _finding(name: str, texts: list[str], kinds: Sequence[Any], runs: Sequence[int], *, seeds: int) -> Finding:
    """Fit on the last call of each run, as the product does, and place all calls."""
    import numpy as np
    from sklearn.metrics import adjusted_rand_score

    one_a_run = list({run: at for at, run in enumerate(runs)}.values())
    found = _median([_labels(texts, one_a_run, seed=seed) for seed in range(seeds)], kinds)
    told = [_labels(texts, one_a_run, seed=seed, clusters=len(set(kinds))) for seed in range(seeds)]
    clusters = len(set(found) - {clustering.NOWHERE})
    most = sum(max(np.unique([k for k, x in zip(kinds, found, strict=True) if x == label], return_counts=True)[1])
               for label in set(found))  # fmt: skip
    return Finding(
        name, len(texts), len(set(kinds)), clusters,
        ari=float(adjusted_rand_score(kinds, found)),
        ari_told=float(np.median([adjusted_rand_score(kinds, one) for one in told])),
        plain_same=_plain(texts, kinds, clusters, seeds=seeds),
        plain_told=_plain(texts, kinds, len(set(kinds)), seeds=seeds),
        purity=most / len(texts),
    )  # fmt: skip


def _labels(texts: list[str], of_fit: list[int], *, seed: int, clusters: int | None = None) -> list[int]:
    found = clustering.fit([texts[at] for at in of_fit], seed=seed, clusters=clusters)
    return clustering.place(found.model, texts).labels.tolist() if found else [clustering.NOWHERE] * len(texts)


def _median(found: list[list[int]], kinds: Sequence[Any]) -> list[int]:
    from sklearn.metrics import adjusted_rand_score

    return sorted(found, key=lambda labels: adjusted_rand_score(kinds, labels))[len(found) // 2]


def _plain(texts: list[str], kinds: Sequence[Any], clusters: int, *, seeds: int) -> float:
    import numpy as np
    from sklearn.cluster import KMeans
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.metrics import adjusted_rand_score

    matrix = TfidfVectorizer().fit_transform(texts)
    fits = [KMeans(clusters, n_init=10, random_state=seed).fit_predict(matrix) for seed in range(seeds)]
    return float(np.median([adjusted_rand_score(kinds, labels) for labels in fits]))


# ------------------------------------------------------------------------------------------------ what it costs
def cost(prompts: int) -> dict[str, float]:
    """Label so many prompts of 12 planted kinds: bodies are decoded, a sample fitted, all placed in chunks."""
    import scipy.optimize  # noqa: F401
    import sklearn.cluster
    import sklearn.metrics  # noqa: F401
    from sklearn.metrics import adjusted_rand_score

    folder = Path(sys.argv[-1])
    imports = _peak_mb()
    started = time.process_time()
    with (folder / "prompts.jsonl").open() as lines:
        sample = [clustering.asked(line) for place, line in enumerate(lines) if place % max(1, prompts // 10_000) == 0]
    found = clustering.fit(sample)
    assert found is not None  # noqa: S101
    fitted = time.process_time() - started
    labels: list[int] = []
    with (folder / "prompts.jsonl").open() as lines:
        chunk: list[str] = []
        for line in lines:
            chunk.append(clustering.asked(line))
            if len(chunk) == CHUNK:
                labels += clustering.place(found.model, chunk).labels.tolist()
                chunk = []
        labels += clustering.place(found.model, chunk).labels.tolist() if chunk else []
    spent, peak = time.process_time() - started, _peak_mb()
    kinds = json.loads((folder / "kinds.json").read_text())
    return {
        "prompts": prompts, "cpu_s": spent, "of_it_fit_s": fitted, "mb_above_imports": peak - imports,
        "clusters": len(found.model.centers), "ari": float(adjusted_rand_score(kinds, labels)),
    }  # fmt: skip


def _peak_mb() -> float:
    # not ru_maxrss: that keeps the peak of the process that started this one
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def _cost_apart(prompts: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        texts, kinds = planted(prompts, kinds=12, seed=0)
        with (Path(folder) / "prompts.jsonl").open("w") as file:
            for text in texts:
                system = {"role": "system", "content": "You are the agent of a shop. " * 20}
                file.write(json.dumps({"messages": [system, {"role": "user", "content": text}]}) + "\n")
        (Path(folder) / "kinds.json").write_text(json.dumps(kinds))
        command = [sys.executable, "-m", "benchmarks.use_cases", "--prompts", str(prompts), "--cost", folder]
        return dict(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def main() -> None:
    """Print findings and cost."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--json", action="store_true")
    options.add_argument("--prompts", type=int, default=100_000)
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--cost", help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.cost:
        print(json.dumps(cost(asked.prompts)))
        return
    recordings = os.environ.get("AGENTOPT_RECORDINGS")
    found = list(findings(Path(recordings), seeds=asked.seeds)) if recordings else []
    spent = _cost_apart(asked.prompts)
    machine = {"machine": platform.machine(), "python": platform.python_version(), "sklearn": version("scikit-learn"),
               "numpy": version("numpy"), "cpus": os.cpu_count(), "load": os.getloadavg()[0]}  # fmt: skip
    if asked.json:
        print(json.dumps({**machine, "findings": [asdict(one) for one in found], "cost": spent}))
        return
    print(" ".join(f"{name}={value}" for name, value in machine.items()))
    print(f"{'set':52} {'texts':>6} {'kinds':>5} {'found':>5} {'ARI':>6} {'told':>6} {'plain':>6} {'told':>6} purity")
    for one in found:
        print(f"{one.name:52} {one.texts:6} {one.kinds:5} {one.clusters:5} {one.ari:6.3f} {one.ari_told:6.3f} "
              f"{one.plain_same:6.3f} {one.plain_told:6.3f} {one.purity:.2f}")  # fmt: skip
    print(" ".join(f"{name}={value:.4g}" for name, value in spent.items()))


if __name__ == "__main__":
    main()
