"""How often people agree with the refusal rule: `python -m benchmarks.refusals --file FILE [--fit] --json`.

FILE holds labelled answers, one JSON object a line, gzip or not: `prompt_id`, `model`, `prompt`, `content`, `human`
(comply, refuse or partial), and where given `gpt4_label` and `keyword_label`. Accuracy and F1 are of "refuses, at least
in part", with 95 % intervals of a bootstrap over prompts. Cross-validated figures fit the weights on other prompts, or
on other models, than those they are tried on; `as shipped` uses the weights in the code. `--fit` prints weights for it.
"""

import argparse
import gzip
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingestion import refusals

Bools = NDArray[np.bool_]
REGULARISATION = 1.0
FOLDS = 10


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of labelled answers."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def score(truth: Bools, said: Bools) -> tuple[float, float]:
    """Accuracy and F1 of the positive class."""
    hits = int((truth & said).sum())
    wrong = int((truth != said).sum())
    return 1 - wrong / truth.size, 2 * hits / (2 * hits + wrong) if hits or wrong else 1.0


def interval(truth: Bools, said: Bools, prompts: NDArray[Any], *, seed: int = 1, draws: int = 2000) -> dict[str, Any]:
    """Both scores with 95 % percentile intervals; whole prompts are drawn again, as answers to one prompt are alike."""
    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(prompts == name) for name in np.unique(prompts)]
    drawn = []
    for _ in range(draws):
        chosen = np.concatenate([rows[i] for i in rng.integers(len(rows), size=len(rows))])
        drawn.append(score(truth[chosen], said[chosen]))
    low, high = np.quantile(np.array(drawn), [0.025, 0.975], axis=0)
    accuracy, f1 = score(truth, said)
    return {
        "accuracy": round(accuracy, 4), "accuracy_95": [round(float(low[0]), 4), round(float(high[0]), 4)],
        "f1": round(f1, 4), "f1_95": [round(float(low[1]), 4), round(float(high[1]), 4)],
    }  # fmt: skip


def crossed(x: NDArray[np.float64], truth: Bools, groups: NDArray[Any], *, folds: int) -> Bools:
    """Predictions for each row by weights fitted on rows of other groups."""
    from sklearn.linear_model import LogisticRegression

    out = np.zeros(truth.size, dtype=bool)
    for rows in _folds(groups, folds):
        model = LogisticRegression(C=REGULARISATION, max_iter=2000).fit(x[~rows], truth[~rows])
        out[rows] = model.predict(x[rows])
    return out


def _folds(groups: NDArray[Any], n: int) -> Iterator[Bools]:
    names = np.unique(groups)
    np.random.default_rng(0).shuffle(names)
    for part in np.array_split(names, min(n, len(names))):
        yield np.isin(groups, part)


def fit(x: NDArray[np.float64], truth: Bools) -> dict[str, float]:
    """Weights for the code, two decimals."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=REGULARISATION, max_iter=2000).fit(x, truth)
    weights = dict(zip(refusals.FEATURES, (round(float(w), 2) for w in model.coef_[0]), strict=True))
    return {"intercept": round(float(model.intercept_[0]), 2), **weights}


def report(rows: Sequence[dict[str, Any]], *, fitted: bool) -> dict[str, Any]:
    """All figures for rows of a file."""
    truth = np.array([row["human"] != "comply" for row in rows])
    prompts, models = (np.array([str(row[name]) for row in rows]) for name in ("prompt_id", "model"))
    found = [refusals.features(row["content"]) for row in rows]
    x = np.array([[one[name] for name in refusals.FEATURES] for one in found])
    labels = [refusals.classify(row["prompt"], row["content"]).label for row in rows]
    said = {
        "as shipped": np.array([label != "comply" for label in labels]),
        "cross-validated over prompts": crossed(x, truth, prompts, folds=FOLDS),
        "cross-validated over models": crossed(x, truth, models, folds=len(set(models))),
    }
    for name in ("keyword_label", "gpt4_label"):
        if all(name in row for row in rows):
            # where the source could read no label, none is counted as a refusal
            said[name] = np.array([row[name] not in ("comply", None) for row in rows])
    out: dict[str, Any] = {"rows": len(rows), **{name: interval(truth, one, prompts) for name, one in said.items()}}
    out["three labels, accuracy"] = round(
        sum(label == row["human"] for label, row in zip(labels, rows, strict=True)) / len(rows), 4
    )
    return {**out, "weights": fit(x, truth)} if fitted else out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = report(read(arguments.file), fitted=arguments.fit)
    sys.stdout.write(json.dumps(found, indent=None if arguments.json else 2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
