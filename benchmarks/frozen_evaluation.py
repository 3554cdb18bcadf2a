"""Which encoder suits a task, before any training: votes of neighbours among its frozen vectors."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from benchmarks.encoders import Precision, resolve_encoder
from benchmarks.results import MethodRecord
from benchmarks.suggestions import SuiteError

Vectors = NDArray[np.float32]
Labels = NDArray[np.int64]
Rows = NDArray[np.int64]
Pooling = Literal["mean", "cls"]

PARITY = "parity_"
"""Before the name of a measure: as the published tables have it."""

_DEVELOPMENT_DRAW = 34
_MODES: Mapping[str, Mapping[str, Any]] = {
    "": {"metric": "cosine", "votes": "soft"},
    PARITY: {"metric": "euclidean", "votes": "hard", "break_ties": False},
}


@dataclass(frozen=True)
class FrozenSettings:
    """Which encoders, how a vector is made of a text, and who votes.

    Parameters
    ----------
    models : tuple of str
        ``minilm``, folders or names on the hub; vectors of several are put beside each other.
    pooling : {"mean", "cls"} or None, default=None
        The mean over a text's tokens, or the token that stands for the text; None is what a
        sentence-transformers model asks for, and "mean" of any other.
    layer_mean : bool, default=False
        Whether the mean over all layers is pooled, not the last one alone.
    k : int, default=5
        Neighbours that vote.
    max_length : int or None, default=None
        Tokens a text is cut to; None is what the encoder is made for, at most 512.
    development_share : float, default=0.0
        Share of the pool that is drawn as a development set, whose neighbours are the rest's.
    fingerprints : tuple of str, default=()
        Of the encoders' weights; the runner fills them in.

    Raises
    ------
    ValueError
        If no encoder is named, or an option is unknown or out of range.
    TypeError
        If ``models`` is one string.
    """

    models: tuple[str, ...]
    pooling: Pooling | None = None
    layer_mean: bool = False
    k: int = 5
    max_length: int | None = None
    development_share: float = 0.0
    fingerprints: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the values."""
        if isinstance(self.models, str):
            raise TypeError(f"models is {self.models!r}: pass a list of one encoder or more.")
        if not self.models:
            raise ValueError("models is empty: name one encoder or more.")
        if self.pooling not in (None, *get_args(Pooling)):
            raise ValueError(f"pooling is {self.pooling!r}: pass 'mean' or 'cls', or leave it out.")
        for name in ("k", "max_length"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}: pass at least 1.")
        if not 0 <= self.development_share < 1:
            raise ValueError(
                f"development_share is {self.development_share}: pass a share of at least 0 and "
                "below 1."
            )

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> FrozenSettings:
        """Make settings of a method's parameters."""
        found = cls(**params)
        return replace(found, models=tuple(found.models), fingerprints=tuple(found.fingerprints))


def with_fingerprints(method: MethodRecord) -> MethodRecord:
    """Find the encoders of a method, so that its record says which weights they have.

    Parameters
    ----------
    method : MethodRecord
        As the suite has it.

    Returns
    -------
    MethodRecord
        With a fingerprint for each encoder.

    Raises
    ------
    SuiteError
        If an encoder can be neither found nor fetched.
    """
    settings = FrozenSettings.from_params(method.params)
    found = [resolve_encoder(name).fingerprint for name in settings.models]
    return method.model_copy(update={"params": {**method.params, "fingerprints": found}})


def frozen_vectors(
    texts: Sequence[Any], settings: FrozenSettings, precision: Precision, device: str | None = None
) -> Vectors:
    """Embed texts by the encoders as they are.

    Parameters
    ----------
    texts : sequence of str, or of (str, str)
        Texts, or pairs of texts.
    settings : FrozenSettings
        Encoders and pooling.
    precision : {"float32", "bfloat16"}
        Of the forward passes.
    device : str or None, default=None
        Where to compute; None takes the best there is.

    Returns
    -------
    numpy.ndarray of float32, shape (n, sum of d)
        Vectors as the encoders give them, of any length.

    Raises
    ------
    SuiteError
        If the weights of an encoder are not those of the record.
    """
    from small_text_ext.classifiers.frozen import frozen_embeddings
    from small_text_ext.classifiers.knn import concatenated
    from small_text_ext.classifiers.pretrained import TransformerArguments

    parts = [
        frozen_embeddings(
            TransformerArguments(folder, max_length=settings.max_length),
            texts,
            settings.pooling,
            settings.layer_mean,
            device=device,
            precision=precision,
        )
        for folder in _folders(settings)
    ]
    return concatenated(parts)


def _folders(settings: FrozenSettings) -> list[str]:
    found = [resolve_encoder(name) for name in settings.models]
    for encoder, expected in zip(found, settings.fingerprints, strict=bool(settings.fingerprints)):
        if encoder.fingerprint != expected:
            raise SuiteError(
                f"The encoder '{encoder.id}' has the fingerprint {encoder.fingerprint[:12]} here, "
                f"but {expected[:12]} when the run was prepared: the files in its folder have "
                "changed. Run again."
            )
    return [encoder.folder for encoder in found]


def encoding_seconds(
    params: Mapping[str, Any],
    texts: Sequence[Any],
    precision: Precision,
    device: str | None = None,
) -> float:
    """Time what the encoders of a method take for a text, loading included."""
    start = time.perf_counter()
    frozen_vectors(texts, FrozenSettings.from_params(params), precision, device)
    return (time.perf_counter() - start) / len(texts)


def frozen_metrics(
    vectors: Vectors, labels: Labels, num_pool: int, settings: FrozenSettings, seed: int
) -> dict[str, float | None]:
    """Predict labelled texts by their neighbours.

    Parameters
    ----------
    vectors : numpy.ndarray of float32, shape (n, d)
        Vectors of the pool, and behind them those of the test set.
    labels : numpy.ndarray of int64, shape (n,)
        Their labels.
    num_pool : int
        How many of them are the pool's.
    settings : FrozenSettings
        Neighbours, and the share of the development set.
    seed : int
        Draws the development set.

    Returns
    -------
    dict of str to float
        ``accuracy`` and ``macro_f1`` of all texts, each predicted by all others. With ``train_`` in
        front those of the pool without the development set, and with ``development_`` (where there
        is one) and ``test_`` those of texts that are predicted by it. The mean F1 is over the
        classes that occur. Votes weigh by cosine. With ``parity_`` in front of all that: as
        published, where neighbours are Euclidean and vote alike, a tie goes to the class with the
        lowest number, and in the whole set and the pool a text is a neighbour of its own, which
        makes these results too good.
    """
    parts = _parts(num_pool, len(labels), settings.development_share, seed)
    found: dict[str, float | None] = {}
    for mode in _MODES:
        for name, (queries, references) in parts.items():
            own = queries is references
            predicted = _predicted(vectors, labels, queries, references, settings.k, mode, own)
            found |= _measures(labels[queries], predicted, f"{mode}{name}")
    return found


def draw_development(num_pool: int, share: float, seed: int) -> tuple[Rows, Rows]:
    """Draw a development set from the pool.

    Parameters
    ----------
    num_pool : int
        Texts in the pool.
    share : float
        Share of the development set, from 0 to below 1; above 0 it has at least one text.
    seed : int
        Same seed, same texts.

    Returns
    -------
    train, development : numpy.ndarray of int64
        Sorted positions in the pool.

    Examples
    --------
    >>> train, development = draw_development(10, 0.1, seed=0)
    >>> len(train), len(development)
    (9, 1)
    """
    order = np.random.default_rng([seed, _DEVELOPMENT_DRAW]).permutation(num_pool)
    size = min(num_pool - 1, max(1, round(share * num_pool))) if share else 0
    return np.sort(order[size:]), np.sort(order[:size])


def _parts(num_pool: int, num_texts: int, share: float, seed: int) -> dict[str, tuple[Rows, Rows]]:
    """Return who is predicted, and by whom, under what goes before the names of measures."""
    everything = np.arange(num_texts)
    train, development = draw_development(num_pool, share, seed)
    parts = {"": (everything, everything), "train_": (train, train)}
    if len(development):
        parts["development_"] = (development, train)
    return {**parts, "test_": (everything[num_pool:], train)}


def _predicted(
    vectors: Vectors,
    labels: Labels,
    queries: Rows,
    references: Rows,
    k: int,
    mode: str,
    own: bool,
) -> Labels:
    from small_text_ext.pool.neighbors import knn_votes, nearest_neighbors

    options = dict(_MODES[mode])
    found = nearest_neighbors(
        vectors[queries],
        vectors[references],
        k,
        metric=options.pop("metric"),
        leave_self_out=own and mode != PARITY,
    )
    votes = knn_votes(found, labels[references], int(labels.max()) + 1, **options)
    return np.asarray(votes.argmax(axis=1), dtype=np.int64)


def _measures(labels: Labels, predicted: Labels, prefix: str) -> dict[str, float]:
    from sklearn.metrics import f1_score

    occurring = np.unique(labels)
    macro = f1_score(labels, predicted, labels=occurring, average="macro", zero_division=0)
    return {
        f"{prefix}accuracy": float((labels == predicted).mean()),
        f"{prefix}macro_f1": float(macro),
    }
