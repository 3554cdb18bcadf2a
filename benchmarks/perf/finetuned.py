"""What a query costs where the classifier is a fine-tuned encoder: ours, and small-text's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from small_text import AnchorSubsampling, Classifier, LeastConfidence, QueryStrategy

from benchmarks.datasets import LabeledTexts
from benchmarks.perf.contestants import Sides, host_dataset, our_dataset, set_host_batch_size
from benchmarks.perf.shared import REPEATS_HEADING, Target, make_table, ratios, spread, synchronize
from small_text_ext import AnchorAL, ExactIndex, PoolEmbeddings
from small_text_ext.pool.vectors import unit_rows

# As published.
NUM_ANCHORS, NUM_NEIGHBORS, SUBPOOL_SIZE = 10, 50, 10_000
NUM_LABELED, NUM_QUERIED = 100, 25
# The host's subsample must be smaller than its pool, else it asks the base strategy directly.
HOST_SUBSAMPLE_SIZE = 500
HOST_LENGTH, HOST_BATCH_SIZE = 128, 32

_SEED = 0
_EXTRAPOLATED = "EXTRAPOLATED"


@dataclass(frozen=True)
class TextPool:
    """Texts with a vector each, of which the first are labelled.

    Parameters
    ----------
    texts : LabeledTexts
        The texts; labels of the unlabelled ones are not looked at.
    vectors : numpy.ndarray of float32, shape (n, d)
        Their vectors, unit rows.
    num_labeled : int
        How many at the beginning are labelled.
    """

    texts: LabeledTexts
    vectors: NDArray[np.float32]
    num_labeled: int

    def first(self, number: int) -> TextPool:
        """Return a pool of the first texts, with the same labels."""
        return TextPool(self.texts.rows(np.arange(number)), self.vectors[:number], self.num_labeled)

    def labeled(self) -> LabeledTexts:
        """Return the labelled texts."""
        return self.texts.rows(np.arange(self.num_labeled))


def make_text_pool(source: LabeledTexts, vectors: NDArray[np.float32], num_texts: int) -> TextPool:
    """Make a pool of any size from real texts.

    The first texts are those of the source in random order; where it has too few, more are made of
    the first half of one text and the second half of another, so that lengths stay as they are
    and hardly any text occurs twice. The vector of such a text lies between those of the two:
    encoding it would be no part of a query.

    Parameters
    ----------
    source : LabeledTexts
        Real texts.
    vectors : numpy.ndarray of float32, shape (m, d)
        Their vectors.
    num_texts : int
        Size of the pool.

    Returns
    -------
    TextPool
        The pool, the first 100 texts (or a tenth of a smaller pool) labelled.
    """
    generator = np.random.default_rng(_SEED)
    real = generator.permutation(len(source))[:num_texts]
    first, second = generator.integers(len(source), size=(2, num_texts - len(real)))
    made = [
        _recombined(source.texts[a], source.texts[b]) for a, b in zip(first, second, strict=True)
    ]
    texts = LabeledTexts(
        source.name,
        (*(source.texts[row] for row in real), *made),
        source.labels[np.concatenate([real, first])],
        source.class_names,
        source.licence,
        source.source,
    )
    between = unit_rows(vectors[first] + vectors[second])
    return TextPool(
        texts, np.concatenate([vectors[real], between]), min(NUM_LABELED, num_texts // 10)
    )


def _recombined(first: str, second: str) -> str:
    head, tail = first.split(), second.split()
    return " ".join([*head[: len(head) // 2], *tail[len(tail) // 2 :]])


class TimedClassifier(Classifier):
    """A classifier that notes what its forward passes take.

    Parameters
    ----------
    classifier : small_text.Classifier
        What is asked.
    """

    def __init__(self, classifier: Any) -> None:  # noqa: ANN401
        self.classifier = classifier
        self.num_classes, self.multi_label = classifier.num_classes, classifier.multi_label
        self.embedding = self.scoring = 0.0
        self.num_scored = 0

    def fit(self, train_set: Any, weights: Any = None) -> TimedClassifier:  # noqa: ANN401
        """Train the classifier."""
        self.classifier.fit(train_set, weights=weights)
        return self

    def predict(self, data_set: Any, return_proba: bool = False) -> Any:  # noqa: ANN401
        """Return labels; what this takes is not noted."""
        return self.classifier.predict(data_set, return_proba=return_proba)

    def predict_proba(self, data_set: Any) -> Any:  # noqa: ANN401
        """Return probabilities."""
        start = time.perf_counter()
        proba = self.classifier.predict_proba(data_set)
        synchronize()
        self.scoring += time.perf_counter() - start
        self.num_scored += len(proba)
        return proba

    def embed(self, data_set: Any) -> Any:  # noqa: ANN401
        """Return embeddings."""
        start = time.perf_counter()
        embeddings = self.classifier.embed(data_set)
        synchronize()
        self.embedding += time.perf_counter() - start
        return embeddings


@dataclass
class RoundTiming:
    """What a query takes, by repeat.

    Parameters
    ----------
    name : str
        Which strategy, on how many texts.
    num_texts : int
        Texts of the pool.
    num_scored : int
        Texts that the classifier scored.
    queries, embedding, scoring : list of float
        Seconds of the whole query, and of the classifier's passes in it.
    """

    name: str
    num_texts: int
    num_scored: int = 0
    queries: list[float] = field(default_factory=list)
    embedding: list[float] = field(default_factory=list)
    scoring: list[float] = field(default_factory=list)

    def rest(self) -> list[float]:
        """Return the seconds of a query that no forward pass takes."""
        columns = zip(self.queries, self.embedding, self.scoring, strict=True)
        return [query - embedding - scoring for query, embedding, scoring in columns]

    def extrapolated(self, num_texts: int) -> RoundTiming:
        """Return what a larger pool would take, every text taking as long as here."""
        factor = num_texts / self.num_texts
        return replace(
            self,
            name=f"{self.name}, {_EXTRAPOLATED} from {self.num_texts:,} texts",
            num_texts=num_texts,
            num_scored=round(self.num_scored * factor),
            queries=[seconds * factor for seconds in self.queries],
            embedding=[seconds * factor for seconds in self.embedding],
            scoring=[seconds * factor for seconds in self.scoring],
        )

    def as_json(self) -> dict[str, Any]:
        """Return the fields."""
        return asdict(self)


def measure_rounds(
    sides: Sides,
    pool: TextPool,
    num_host_texts: int,
    repeats: int,
    report: Callable[[str], object],
) -> dict[str, RoundTiming]:
    """Time one query of AnchorAL and of AnchorSubsampling, in turn within each repeat.

    Whatever index a strategy builds at its first query is part of it; the host's texts are
    tokenised beforehand.

    Parameters
    ----------
    sides : Sides
        Fitted classifiers.
    pool : TextPool
        What AnchorAL queries.
    num_host_texts : int
        How many of its first texts AnchorSubsampling queries.
    repeats : int
        How often.
    report : callable
        Told what is being timed.

    Returns
    -------
    dict of str to RoundTiming
        By precision, and under "host".
    """
    small = pool.first(num_host_texts)
    host_texts, our_texts = _host_texts(sides, small), our_dataset(pool.texts)
    ours: dict[str, RoundTiming] = {
        precision: RoundTiming(f"AnchorAL, {precision}", len(pool.texts))
        for precision in sides.ours
    }
    host = RoundTiming("AnchorSubsampling", num_host_texts)
    embeddings = PoolEmbeddings.from_array(pool.vectors)
    for repeat in range(repeats):
        for precision, classifier in sides.ours.items():
            report(f"repeat {repeat + 1} of {repeats}: AnchorAL, {precision}")
            _query(ours[precision], _anchoral(embeddings), classifier, our_texts, pool)
        report(f"repeat {repeat + 1} of {repeats}: AnchorSubsampling on {num_host_texts:,} texts")
        _query(host, _anchor_subsampling(), sides.host, host_texts, small)
    return {**ours, "host": host}


def _host_texts(sides: Sides, pool: TextPool) -> Any:  # noqa: ANN401
    set_host_batch_size(sides.host, HOST_BATCH_SIZE)
    return host_dataset(pool.texts, sides.host, HOST_LENGTH)


def _anchoral(embeddings: PoolEmbeddings) -> QueryStrategy:
    return AnchorAL(
        LeastConfidence(),
        embeddings,
        num_anchors=NUM_ANCHORS,
        num_neighbors=NUM_NEIGHBORS,
        subpool_size=SUBPOOL_SIZE,
        index=ExactIndex(),
        seed=_SEED,
    )


def _anchor_subsampling() -> QueryStrategy:
    return AnchorSubsampling(
        LeastConfidence(),
        subsample_size=HOST_SUBSAMPLE_SIZE,
        num_anchors=NUM_ANCHORS,
        k=NUM_NEIGHBORS,
    )


def _query(
    timing: RoundTiming,
    strategy: QueryStrategy,
    classifier: Any,  # noqa: ANN401
    dataset: Any,  # noqa: ANN401
    pool: TextPool,
) -> None:
    timed = TimedClassifier(classifier)
    labeled = np.arange(pool.num_labeled)
    unlabeled = np.arange(pool.num_labeled, len(pool.texts))
    y = pool.texts.labels[labeled]
    start = time.perf_counter()
    strategy.query(timed, dataset, unlabeled, labeled, y, n=min(NUM_QUERIED, len(unlabeled)))
    timing.queries.append(time.perf_counter() - start)
    timing.embedding.append(timed.embedding)
    timing.scoring.append(timed.scoring)
    timing.num_scored = timed.num_scored


def round_targets(timings: Mapping[str, RoundTiming]) -> list[Target]:
    """Return what a query may take beside the subpool's forward passes, and the host's part.

    Parameters
    ----------
    timings : mapping of str to RoundTiming
        Of `measure_rounds`.

    Returns
    -------
    list of Target
        Two for each of our precisions.
    """
    targets = []
    for precision, ours in timings.items():
        if precision == "host":
            continue
        measure = f"query minus the subpool's forward passes, {precision}, seconds"
        targets.append(Target(measure, tuple(ours.rest()), at_most=1.0))
        host = timings["host"].extrapolated(ours.num_texts)
        measure = f"AnchorSubsampling's query ({_EXTRAPOLATED}) over ours, {precision}"
        targets.append(Target(measure, ratios(host.queries, ours.queries)))
    return targets


def round_table(timings: Mapping[str, RoundTiming]) -> Table:
    """Return the seconds of a query by part, the host's extrapolated too."""
    host = timings["host"]
    largest = max(timing.num_texts for timing in timings.values())
    rows = [_row(timing) for timing in (*timings.values(), host.extrapolated(largest))]
    columns = ("one query", "pool", "scored", "embedding, s", "scoring, s", "the rest, s", "all, s")
    return make_table(f"one query of {NUM_QUERIED}: {REPEATS_HEADING}", columns, rows)


def _row(timing: RoundTiming) -> Sequence[str]:
    parts = (timing.embedding, timing.scoring, timing.rest(), timing.queries)
    cells = [spread(seconds, 2) if any(seconds) else "-" for seconds in parts]
    return (timing.name, f"{timing.num_texts:,}", f"{timing.num_scored:,}", *cells)
