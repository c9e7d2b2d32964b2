"""Texts to labels, seeded: word weights, a small space, centres; and what keeps labels the same over time.

A fitted `Model` is plain arrays and words, so it can be stored and used again without fitting anew.
docs/algorithms/use_cases.md has the choices with their measurements.
"""

import functools
import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from ingestion.formats import bodies, fields

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]
    Labels = NDArray[np.int32]

MIN_TEXTS = 20
SAMPLE = 10_000  # texts that a fit looks at
TRIED = 2_000  # of them, those on which numbers of clusters are compared
MAX_TERMS = 10_000
MIN_SHARED = 3  # a word that fewer conversations share is neither kept nor shown
MAX_CLUSTERS = 30
STARTS = 8
HALVES = 6
CLOSE = 0.95
TURN_START, TURN_END, MAX_TEXT = 1500, 500, 6000
NOWHERE = -1
ENOUGH_TOLD = 0.8
MIN_OVERLAP = 0.25
STORED_TERMS = 8
MIN_SCORE = 0.03  # texts without kinds stay below 0.015, with them above 0.06
_VERSION = 1

_WORD = re.compile(r"(?<!\w)[^\W\d_]+(?:['’-][^\W\d_]+)*(?!\w)")
_NO_WORDS = re.compile(r"\[[^\[\]\n]{1,60} removed\]|https?://\S+|(?<!\S)\S{1,64}@\S{1,255}")
_DENSE = re.compile("[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]{2,}")  # scripts written without spaces


@dataclass(frozen=True)
class Model:
    """A fitted model. `space` is (terms, dimensions), `centers` (clusters, dimensions), `weights` (terms,)."""

    terms: tuple[str, ...]
    weights: "Array"
    space: "Array"
    centers: "Array"

    def to_bytes(self) -> bytes:
        """A header in JSON, then the arrays as little-endian float32; compressed. No code is in it."""
        shape = [_VERSION, self.space.shape[1], self.centers.shape[0]]
        header = json.dumps([shape, self.terms], ensure_ascii=False).encode()
        arrays = b"".join(array.astype("<f4").tobytes() for array in (self.weights, self.space, self.centers))
        return zlib.compress(len(header).to_bytes(4, "little") + header + arrays, 6)

    @classmethod
    def from_bytes(cls, stored: bytes) -> "Model":
        """The model as it was.

        Raises:
            ValueError: it is of another version, or not whole.
        """
        import numpy as np

        plain = zlib.decompress(stored)
        end = 4 + int.from_bytes(plain[:4], "little")
        (version, dimensions, clusters), terms = json.loads(plain[4:end])
        if version != _VERSION:
            raise ValueError(f"a model of version {version}")
        numbers = np.frombuffer(plain, dtype="<f4", offset=end)
        weights, space, centers = np.split(numbers, [len(terms), len(terms) * (1 + dimensions)])
        return cls(tuple(terms), weights, space.reshape(-1, dimensions), centers.reshape(clusters, dimensions))


@dataclass(frozen=True)
class Fit:
    """A model, the labels of the texts it was made of, and how its number of clusters was chosen."""

    model: Model
    labels: "Labels"
    scores: Mapping[int, float]  # number of clusters -> criterion
    nearness: float  # mean cosine of a text to its center


@dataclass(frozen=True)
class Placed:
    """Labels of texts (NOWHERE: no word of the model is in it) and the sum of the placed ones' cosines."""

    labels: "Labels"
    nearness: float


# ------------------------------------------------------------------------------------------------ texts
class _Turn(msgspec.Struct):
    role: Any = None
    content: msgspec.Raw = fields.NO_RAW


class _Asked(msgspec.Struct):
    messages: msgspec.Raw = fields.NO_RAW
    input: msgspec.Raw = fields.NO_RAW
    prompt: msgspec.Raw = fields.NO_RAW


def asked(request: str) -> str:
    """What a stored request asks: all user turns of its conversation, each cut in its middle. "" where there are none.

    Neither the system prompt nor answers and tool results count: those are the agent's, and alike in all its calls.
    """
    try:
        body = msgspec.json.decode(request.encode(errors="replace"), type=_Asked)
        raw = bytes(body.messages) or bytes(body.input)
        turns = msgspec.json.decode(raw, type=list[_Turn]) if raw.lstrip().startswith(b"[") else []
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return ""
    said = [bodies.spoken(fields.plain(turn.content)) or "" for turn in turns if turn.role == "user"]
    if not turns:
        alone = fields.plain(body.input) or fields.plain(body.prompt)
        said = [alone if isinstance(alone, str) else ""]
    return "\n".join(_cut(turn) for turn in said)[:MAX_TEXT].strip()


def _cut(turn: str) -> str:
    return turn if len(turn) <= TURN_START + TURN_END else f"{turn[:TURN_START]}\n{turn[-TURN_END:]}"


def words(text: str) -> list[str]:
    """The words of a text in lower case: letters only, so that no number and no account name is one."""
    text = _NO_WORDS.sub(" ", text[:MAX_TEXT]).lower()
    found: list[str] = []
    for word in _WORD.findall(text):
        if _DENSE.search(word):
            found += [word[place : place + 2] for place in range(len(word) - 1)]
        elif 1 < len(word) <= 30:
            found.append(word)
    return found


@functools.lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """A word without the endings of its plural and its tenses, roughly; "" for words that say nothing."""
    if word in _stop_words():
        return ""
    if word.endswith(("'s", "’s")):
        word = word[:-2]
    if len(word) > 4 and word.isascii():
        for ending, instead in (("sses", "ss"), ("ies", "y"), ("ing", ""), ("ed", "")):
            if word.endswith(ending) and len(word) - len(ending) >= 3:
                return word[: -len(ending)] + instead
        if word.endswith("s") and not word.endswith(("ss", "us", "is")):
            return word[:-1]
    return word


@functools.cache
def _stop_words() -> frozenset[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS) | {"please", "hi", "hello", "thanks", "thank", "i'm", "i'd", "i've", "don't"}


def _counted(text: str) -> Counter[str]:
    counts = Counter(map(stem, words(text)))
    counts.pop("", None)
    return counts


# ------------------------------------------------------------------------------------------------ fit and place
def fit(texts: Sequence[str], *, seed: int = 0, clusters: int | None = None) -> Fit | None:
    """Find the kinds of texts; None where fewer than 20 hold words that several share.

    Args:
        texts: one of each conversation, in an order that is always the same; at most SAMPLE are sensible.
        clusters: how many; None: the number with the best criterion (separation times agreement), perhaps one.
    """
    return _fit([_counted(text) for text in texts], seed=seed, clusters=clusters)


def refit(
    texts: Sequence[str], *, old: Model, apart: Sequence[frozenset[int]] = (), seed: int = 0
) -> tuple[Fit, list[int | None]] | None:
    """Fit anew, and say which old cluster each new one continues (None: it is a new kind).

    Args:
        apart: old clusters that a person split from each other; where a fit would join them, they are kept apart.
    """
    counted = [_counted(text) for text in texts]
    found = _fit(counted, seed=seed)
    if found is None:
        return None
    before = _placed(old, counted)[0]
    for group in apart:
        found = _kept_apart(found, counted, before=before, group=group)
    matched = match(before, found.labels, old=len(old.centers), new=len(found.model.centers))
    return found, matched


def place(model: Model, texts: Sequence[str]) -> Placed:
    """Assign texts to the nearest centers of a model."""
    labels, cosines = _placed(model, [_counted(text) for text in texts])
    return Placed(labels, float(cosines[labels >= 0].sum()))


def split(model: Model, cluster: int, texts: Sequence[str], *, seed: int = 0) -> Model | None:
    """Cut one cluster in two: its larger part keeps the place, the other comes last. None where its texts are alike.

    Args:
        texts: of the cluster, in an order that is always the same.
    """
    import numpy as np
    from threadpoolctl import threadpool_limits

    points, filled = _points(model, [_counted(text) for text in texts])
    points = points[filled]
    if len(np.unique(np.round(points, 4), axis=0)) < 2:
        return None
    with threadpool_limits(1):
        centers = _centers(points, 2, seed=seed, starts=STARTS)
    labels, _ = _nearest(points, centers, np.ones(len(points), dtype=bool))
    larger = int(labels.sum() * 2 > len(labels))
    kept = model.centers.copy()
    kept[cluster] = centers[larger]
    return replace(model, centers=np.vstack([kept, centers[1 - larger]]))


def _fit(counted: Sequence[Counter[str]], *, seed: int, clusters: int | None = None) -> Fit | None:
    import numpy as np
    from threadpoolctl import threadpool_limits

    terms, weights = _vocabulary(counted, most=len(counted) // 2)
    matrix = _matrix(counted, terms, weights)
    if np.diff(matrix.indptr).astype(bool).sum() < ENOUGH_TOLD * sum(map(bool, counted)):
        # texts so alike that little sets them apart: what they share has to do
        terms, weights = _vocabulary(counted, most=len(counted))
        matrix = _matrix(counted, terms, weights)
    filled = np.diff(matrix.indptr) > 0
    if filled.sum() < MIN_TEXTS:
        return None
    with threadpool_limits(1):  # sums of several threads differ in their last digits
        space = _space(matrix[filled], seed=seed)
        points = _unit(matrix @ space)
        scores: dict[int, float] = {}
        if clusters is None:
            clusters, scores = _number_of_clusters(points[filled], seed=seed)
        centers = _centers(points[filled], clusters, seed=seed, starts=STARTS)
    labels, cosines = _nearest(points, centers, filled)
    return Fit(Model(terms, weights, space, centers), labels, scores, float(cosines[filled].mean()))


def _points(model: Model, counted: Sequence[Counter[str]]) -> "tuple[Array, Any]":
    """Texts as points of the model's space, and which of them hold one of its words."""
    import numpy as np

    matrix = _matrix(counted, model.terms, model.weights)
    return _unit(matrix @ model.space), np.diff(matrix.indptr) > 0


def _placed(model: Model, counted: Sequence[Counter[str]]) -> "tuple[Labels, Array]":
    points, filled = _points(model, counted)
    return _nearest(points, model.centers, filled)


def _kept_apart(found: Fit, counted: Sequence[Counter[str]], *, before: "Labels", group: frozenset[int]) -> Fit:
    """Cut a cluster in which most texts of several old ones of the group came together."""
    import numpy as np

    home: dict[int, list[int]] = {}
    for cluster in sorted(group):
        now = found.labels[(before == cluster) & (found.labels >= 0)]
        if len(now):
            home.setdefault(int(np.bincount(now).argmax()), []).append(cluster)
    points, filled = _points(found.model, counted)
    centers = list(found.model.centers)
    for joined, members in home.items():
        if len(members) > 1:
            inside = found.labels == joined
            parts = [points[inside & (before == cluster)].mean(axis=0) for cluster in members]
            centers[joined] = parts[0]
            centers += parts[1:]
    model = replace(found.model, centers=np.array(centers, dtype=np.float32))
    labels, cosines = _nearest(points, model.centers, filled)
    return replace(found, model=model, labels=labels, nearness=float(cosines[filled].mean()))


def match(before: Iterable[int], after: Iterable[int], *, old: int, new: int) -> list[int | None]:
    """For each new cluster the old one that it continues: the pairs of largest overlap in all (Kuhn 1955).

    An overlap is the share of texts in both out of those in either (Jaccard); below a quarter nothing is continued.

    Args:
        before, after: labels of the same texts; NOWHERE for none.
    """
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    both, sizes, anew = np.zeros((old, new)), np.zeros((old, 1)), np.zeros((1, new))
    for one, other in zip(before, after, strict=True):
        sizes[one] += one >= 0
        anew[0, other] += other >= 0
        if one >= 0 and other >= 0:
            both[one, other] += 1
    either = sizes + anew - both
    overlap = both / np.maximum(either, 1)
    continued: list[int | None] = [None] * new
    for one, other in zip(*linear_sum_assignment(-overlap), strict=True):
        if overlap[one, other] >= MIN_OVERLAP:
            continued[other] = int(one)
    return continued


# ------------------------------------------------------------------------------------------------ words for people
def telling_words(texts: Sequence[str], labels: Sequence[int], clusters: int) -> list[tuple[str, ...]]:
    """For each cluster up to eight words that set it apart, most telling first, as they are mostly written.

    A word is telling by how much more often the cluster's texts hold it than the others do. Only words that at least
    three of its texts share come into question: nothing that one conversation alone says is ever quoted.
    """
    written: dict[int, Counter[tuple[str, str]]] = {label: Counter() for label in range(clusters)}
    sizes = Counter(int(label) for label in labels)
    everywhere: Counter[str] = Counter()
    for text, label in zip(texts, labels, strict=True):
        forms = {(stem(word), word) for word in words(text)}
        everywhere.update({term for term, _ in forms})
        if label >= 0:
            written[int(label)].update(forms)
    return [
        _telling(written[label], size=sizes[label], everywhere=everywhere, n=len(texts)) for label in range(clusters)
    ]


def _telling(
    written: Mapping[tuple[str, str], int], *, size: int, everywhere: Mapping[str, int], n: int
) -> tuple[str, ...]:
    forms: dict[str, list[tuple[int, str]]] = {}
    for (term, word), count in written.items():
        if term and len(word) > 2 and count >= MIN_SHARED:
            forms.setdefault(term, []).append((-count, word))
    scored = []
    for term, found in forms.items():
        most, word = min(found)
        inside = min(1.0, -sum(count for count, _ in found) / size)
        outside = max(0.0, everywhere[term] + most) / max(1, n - size)
        scored.append((-round(inside * math.log((inside + 0.01) / (outside + 0.01)), 6), word))
    return tuple(word for score, word in sorted(scored)[:STORED_TERMS] if score < 0)


def _vocabulary(counted: Sequence[Mapping[str, int]], *, most: int) -> tuple[tuple[str, ...], "Array"]:
    """Words that at least three and at most so many texts share, by the alphabet, with their weights (idf)."""
    import numpy as np

    shared: Counter[str] = Counter()
    for counts in counted:
        shared.update(counts.keys())
    kept = sorted(
        (term for term, n in shared.items() if MIN_SHARED <= n <= most), key=lambda term: (-shared[term], term)
    )
    terms = tuple(sorted(kept[:MAX_TERMS]))
    idf = [math.log((1 + len(counted)) / (1 + shared[term])) + 1 for term in terms]
    return terms, np.array(idf, dtype=np.float32)


def _matrix(counted: Sequence[Mapping[str, int]], terms: Sequence[str], weights: "Array") -> Any:
    """Rows of unit length: (1 + log of the count) times the weight of the word."""
    import numpy as np
    from scipy import sparse

    known = {term: at for at, term in enumerate(terms)}
    columns: list[int] = []
    counts: list[int] = []
    ends = [0]
    for text in counted:
        row = sorted((known[term], n) for term, n in text.items() if term in known)
        columns += [at for at, _ in row]
        counts += [n for _, n in row]
        ends.append(len(columns))
    values = (1 + np.log(np.array(counts, dtype=np.float32))) * weights[columns]
    shape = (len(counted), len(weights))
    matrix = sparse.csr_matrix((values, columns, ends), shape=shape, dtype=np.float32)
    lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return sparse.diags(1 / np.maximum(lengths, 1e-12)).astype(np.float32) @ matrix


def _space(matrix: Any, *, seed: int) -> "Array":
    """The directions in which texts differ most (latent semantic analysis): as many as the root of their number."""
    import numpy as np
    from sklearn.utils.extmath import randomized_svd

    dimensions = min(max(8, round(math.sqrt(matrix.shape[0]))), 64, min(matrix.shape) - 1)
    if dimensions < 1:
        return np.ones((matrix.shape[1], 1), dtype=np.float32)
    _, _, directions = randomized_svd(matrix, dimensions, random_state=seed % 2**32)
    return np.ascontiguousarray(directions.T, dtype=np.float32)


def _unit(points: "Array") -> "Array":
    import numpy as np

    unit: Array = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    return unit


def _centers(points: "Array", clusters: int, *, seed: int, starts: int) -> "Array":
    from sklearn.cluster import KMeans

    found = KMeans(clusters, n_init=starts, random_state=seed % 2**32).fit(points)
    return found.cluster_centers_.astype("float32")  # type: ignore[no-any-return]


def _nearest(points: "Array", centers: "Array", filled: Any) -> "tuple[Labels, Array]":
    """Label and cosine of each point; NOWHERE where it is empty."""
    import numpy as np

    labels = np.argmax(points @ centers.T - (centers**2).sum(axis=1) / 2, axis=1).astype(np.int32)
    cosines = (points * _unit(centers)[labels]).sum(axis=1)
    return np.where(filled, labels, NOWHERE).astype(np.int32), cosines


# ------------------------------------------------------------------------------------------------ how many
def _number_of_clusters(points: "Array", *, seed: int) -> tuple[int, dict[int, float]]:
    """How many clusters stand apart and come out again: mean silhouette times mean agreement (ARI) with fits on halves.

    Of numbers that come close to the best the smallest is taken, so that chance does not choose between them.
    """
    import numpy as np

    tried = points[:: max(1, len(points) // TRIED)][:TRIED]
    distinct = len(np.unique(np.round(tried, 4), axis=0))
    most = min(MAX_CLUSTERS, distinct - 1, int(math.sqrt(len(tried) / 2)))
    scores = {k: _score(tried, k, seed=seed) for k in _numbers(most)}
    best = max(scores.values(), default=0.0)
    if best < MIN_SCORE:
        return 1, scores
    return min(k for k, score in scores.items() if score >= CLOSE * best), scores


def _numbers(most: int) -> list[int]:
    return [k for k in (*range(2, 13), *range(14, 21, 2), 23, 26, 30) if k <= most]


def _score(points: "Array", clusters: int, *, seed: int) -> float:
    import numpy as np
    from sklearn.metrics import adjusted_rand_score, silhouette_score

    every = np.ones(len(points), dtype=bool)
    labels, _ = _nearest(points, _centers(points, clusters, seed=seed, starts=STARTS), every)
    if len(set(labels)) < 2:
        return 0.0
    rng, agreement = np.random.default_rng(seed), 0.0
    for _ in range(HALVES):
        half = np.sort(rng.permutation(len(points))[: len(points) // 2])
        again, _ = _nearest(points, _centers(points[half], clusters, seed=seed, starts=3), every)
        agreement += float(adjusted_rand_score(labels, again)) / HALVES
    return round(float(silhouette_score(points, labels)) * max(0.0, agreement), 6)
