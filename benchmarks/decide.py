"""CPU seconds and memory of one decision with cold caches: 300 prompts, 8 candidates, 3 guards.

`python -m benchmarks.decide [--json]`; the bar is 2 s on one core and 300 MB (docs/algorithms/decision.md).
"""

import argparse
import json
import os
import platform
import resource
import time

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy is loaded: one core

import numpy as np

from evaluation.statistics.decision import Policy, Samples, decide


def measure() -> dict[str, object]:
    """Decide once on invented answers in which nobody is dropped, so that every look is taken."""
    rng = np.random.default_rng(1)
    flat = np.tile(rng.random((300, 1)) < 0.8, (1, 9)).astype(float)
    quality = np.where(rng.random((300, 9)) < 0.12, 1 - flat, flat)
    cost = rng.random((300, 9)) * np.array([1.0] + [0.5] * 8)
    guards = {"quality": quality, "safety": flat, "answered": flat}
    samples = Samples(guards, np.arange(300), cost_usd=cost, latency_s=cost)
    began = time.process_time()
    outcome = decide(samples, Policy(futility=0.0))
    return {
        "cpu_seconds": round(time.process_time() - began, 3),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "answers": outcome.candidate_answers,
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decide", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    found = measure()
    if parser.parse_args().json:
        print(json.dumps(found))
    else:
        print("\n".join(f"{name}: {value}" for name, value in found.items()))


if __name__ == "__main__":
    main()
