"""``select``: pick texts from a file once, without a learner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets import LabeledTexts, MissingSourceError
from benchmarks.encoders import encode_dataset, resolve_encoder
from benchmarks.hub_data import TEXT_COLUMNS
from benchmarks.suggestions import SuiteError
from benchmarks.text_tables import TextTable, check_table_name, read_table, write_table
from small_text_ext._random import derived_generator

if TYPE_CHECKING:
    from small_text_ext.pool.embeddings import PoolEmbeddings

PICK_COLUMN = "pick"
ID_COLUMN = "id"

Say = Callable[[str], None]
Rows = NDArray[np.int64]
Vectors = NDArray[np.float32]


class SelectionStrategy(StrEnum):
    """How texts are picked."""

    K_CENTER = "k-center"
    FACILITY_LOCATION = "facility-location"
    TYPICLUST = "typiclust"
    RANDOM = "random"


@dataclass(frozen=True)
class SelectionRequest:
    """What to pick, and how.

    Parameters
    ----------
    texts : pathlib.Path
        A table of texts to pick from.
    n : int
        Picks.
    out : pathlib.Path
        Where they are written.
    strategy : SelectionStrategy
        How they are picked.
    append : bool
        Whether picks in ``out`` stay, count as selected, and new ones come behind them.
    labeled, scores : pathlib.Path or None
        A table of texts that are labelled already; one number for each text.
    embeddings, labeled_embeddings : pathlib.Path or None
        Vectors: ``.npy``, or a folder that is made or added to.
    text_column, id_column : str or None
        Columns; by default the first of the usual names, and ``id`` where there is one.
    score_column : str
        Column of the scores.
    combine : {"product", "objective"}
        How distance and score are joined, in k-center.
    strength, score_strength : float
        Exponents of distance, in k-center, and of scores.
    minimum_distance : float or None
        Texts nearer to what is selected are not picked, in k-center.
    encoder : str
        What makes vectors of texts.
    device : str or None
        Where.
    seed : int
        Of ties, clusters and random picks.
    """

    texts: Path
    n: int
    out: Path
    strategy: SelectionStrategy = SelectionStrategy.K_CENTER
    append: bool = False
    labeled: Path | None = None
    scores: Path | None = None
    embeddings: Path | None = None
    labeled_embeddings: Path | None = None
    text_column: str | None = None
    id_column: str | None = None
    score_column: str = "score"
    combine: Literal["product", "objective"] = "product"
    strength: float = 1.0
    score_strength: float = 1.0
    minimum_distance: float | None = None
    encoder: str = "minilm"
    device: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class _Source:
    """A table of texts, read."""

    table: TextTable
    texts: list[str]
    ids: list[str]
    id_column: str | None

    def __len__(self) -> int:
        return len(self.texts)


def write_selection(
    request: SelectionRequest, say: Say = lambda message: None, show_progress: bool | None = None
) -> int:
    """Pick texts and write them, in the order of the picks.

    Parameters
    ----------
    request : SelectionRequest
        What to pick.
    say : callable, optional
        Told what is being done.
    show_progress : bool or None, default=None
        A progress bar where texts are encoded; None shows it on a terminal only.

    Returns
    -------
    int
        Texts picked; fewer than asked for only under ``minimum_distance``.

    Raises
    ------
    MissingSourceError
        If there is no such file.
    SuiteError
        If a file, a column or an option cannot be used; the message names it.
    """
    _check_options(request)
    check_table_name(request.out)
    pool = _read_source(request.texts, request.text_column, request.id_column)
    if PICK_COLUMN in pool.table.columns:
        raise SuiteError(
            f"{request.texts} has a column '{PICK_COLUMN}', which is what the order of the picks "
            "is written to: rename it."
        )
    labeled = None
    if request.labeled is not None:
        labeled = _read_source(request.labeled, request.text_column, request.id_column)
        _check_apart(pool, labeled)
    earlier = _Earlier.read(request, pool)
    candidates = np.setdiff1d(np.arange(len(pool)), earlier.rows)
    if request.n > len(candidates):
        before = f", of which {len(earlier.rows)} are picked already" if len(earlier.rows) else ""
        raise SuiteError(
            f"--n {request.n}: {request.texts} has {len(pool)} texts{before}. Ask for at most "
            f"{len(candidates)}."
        )
    picks = _picks(request, pool, labeled, earlier, candidates, say, show_progress)
    if len(picks):  # a file without rows could not be added to
        earlier.check_unchanged(request.out)
        write_table(request.out, _joined(earlier, pool, picks))
    return len(picks)


def _check_options(request: SelectionRequest) -> None:
    """Refuse what would have no effect."""
    default = SelectionRequest(request.texts, request.n, request.out)
    needs_scores = {"score_column", "score_strength"}
    needs_k_center = {"combine", "strength", "minimum_distance"}
    needs_vectors = {"scores", "embeddings", "labeled_embeddings", *needs_scores, *needs_k_center}
    reasons: list[tuple[bool, set[str], str]] = [
        (request.strategy is SelectionStrategy.RANDOM, needs_vectors, "random picks"),
        (request.strategy is not SelectionStrategy.K_CENTER, needs_k_center, request.strategy),
        (request.scores is None, needs_scores | {"combine"}, "a selection without --scores"),
        (request.labeled is None, {"labeled_embeddings"}, "a selection without --labeled"),
    ]
    for applies, names, where in reasons:
        for name in sorted(names):
            if applies and getattr(request, name) != getattr(default, name):
                option = name.replace("_", "-")
                raise SuiteError(f"--{option} has no effect on {where}: leave it out.")


@dataclass(frozen=True)
class _Earlier:
    """Picks of before: where they are among the texts, and those that are no longer there."""

    columns: dict[str, list[Any]]
    rows: Rows
    gone: tuple[str, ...]
    content: bytes | None

    @classmethod
    def read(cls, request: SelectionRequest, pool: _Source) -> _Earlier:
        if not request.out.exists():
            return cls({}, np.empty(0, dtype=np.int64), (), None)
        if not request.append:
            raise SuiteError(
                f"{request.out} is there already: pass --append to add to its picks, or another "
                "--out."
            )
        content = request.out.read_bytes()
        table = read_table(request.out)
        table.column(PICK_COLUMN)
        _check_columns(request, pool, table)
        _check_numbers(table)
        ids = table.ids(pool.id_column or ID_COLUMN)
        texts = table.texts(_text_column(pool.table, request.text_column))
        place = {name: row for row, name in enumerate(pool.ids)}
        for name, text in zip(ids, texts, strict=True):
            if name in place and pool.texts[place[name]] != text:
                raise SuiteError(
                    f"{request.out} and {request.texts} have other texts of the id '{name}': ids "
                    "are for life. Without a column of ids rows are counted, and new texts are to "
                    "come behind the old ones."
                )
        rows = [place[name] for name in ids if name in place]
        gone = [text for name, text in zip(ids, texts, strict=True) if name not in place]
        columns = {name: list(cells) for name, cells in table.columns.items()}
        return cls(columns, np.array(rows, dtype=np.int64), tuple(gone), content)

    def check_unchanged(self, out: Path) -> None:
        """Refuse to overwrite what somebody else has written in the meantime."""
        if (out.read_bytes() if out.exists() else None) != self.content:
            raise SuiteError(
                f"{out} was changed while texts were being picked, and is left as it is: run the "
                "command again."
            )

    def next_number(self) -> int:
        """Return the number of the next pick: rows may have been taken out since."""
        numbers = self.columns.get(PICK_COLUMN, [])
        return max(map(int, numbers), default=0) + 1


def _check_numbers(earlier: TextTable) -> None:
    for cell in earlier.column(PICK_COLUMN):
        if not str(cell).isdecimal():
            raise SuiteError(
                f"{earlier.path} has {cell!r} in the column '{PICK_COLUMN}': give whole numbers."
            )


def _check_columns(request: SelectionRequest, pool: _Source, earlier: TextTable) -> None:
    expected = {PICK_COLUMN, pool.id_column or ID_COLUMN, *pool.table.columns}
    differ = sorted(set(earlier.columns) ^ expected)
    if differ:
        raise SuiteError(
            f"{request.texts} and the picks of before, {request.out}, differ in the columns "
            f"{differ}: give both the same."
        )


def _read_source(path: Path, text_column: str | None, id_column: str | None) -> _Source:
    table = read_table(path)
    found = id_column if id_column is not None or ID_COLUMN not in table.columns else ID_COLUMN
    texts = table.texts(_text_column(table, text_column))
    return _Source(table, texts, table.ids(found), found)


def _text_column(table: TextTable, given: str | None) -> str:
    usual = [name for name in TEXT_COLUMNS if name in table.columns]
    if given is None and not usual:
        raise SuiteError(
            f"{table.path} has the columns {sorted(table.columns)}, none of them "
            f"{list(TEXT_COLUMNS)}: name one with --text-column."
        )
    name = given if given is not None else usual[0]
    table.column(name)
    return name


def _check_apart(pool: _Source, labeled: _Source) -> None:
    """Refuse to pick from what is labelled; row numbers of two files say nothing of that."""
    if pool.id_column is None or labeled.id_column is None:
        return
    both = sorted(set(pool.ids) & set(labeled.ids))
    if both:
        raise SuiteError(
            f"{len(both)} ids of {labeled.table.path} are among those of {pool.table.path}, such "
            f"as '{both[0]}': leave what is labelled out of --texts."
        )


def _picks(
    request: SelectionRequest,
    pool: _Source,
    labeled: _Source | None,
    earlier: _Earlier,
    candidates: Rows,
    say: Say,
    show_progress: bool | None,
) -> Rows:
    if request.strategy is SelectionStrategy.RANDOM:
        drawn = derived_generator(request.seed, len(earlier.rows)).permutation(candidates)
        return np.asarray(drawn[: request.n])
    scores = None if request.scores is None else _scores(request, pool)
    vectors = _Encoding(request, say, show_progress)
    parts: list[Any] = [vectors.of_pool(pool)]
    if labeled is not None:
        parts.append(vectors.of_labeled(labeled))
    if earlier.gone:
        parts.append(vectors.of_gone(earlier.gone))
    _check_dimensions(parts)
    rows = parts[0] if len(parts) == 1 else np.concatenate([part[:] for part in parts])
    selected = np.concatenate([earlier.rows, np.arange(len(pool), len(rows))])
    weights = None
    if scores is not None:
        others = _scores_of_selected(request, labeled, len(rows) - len(pool))
        weights = np.concatenate([scores, others])
    say(f"picking {request.n:,} of {len(candidates):,} texts by {request.strategy}")
    try:
        return _selected(request, rows, selected, weights, candidates, show_progress)
    except ValueError as error:  # of options and scores that do not go together
        raise SuiteError(str(error)) from error


def _selected(
    request: SelectionRequest,
    rows: PoolEmbeddings | Vectors,
    selected: Rows,
    scores: NDArray[np.float64] | None,
    candidates: Rows,
    show_progress: bool | None,
) -> Rows:
    from small_text_ext.query_strategies.facility_location import facility_location
    from small_text_ext.query_strategies.joint_scores import Weight
    from small_text_ext.query_strategies.k_center import k_center_greedy
    from small_text_ext.query_strategies.typiclust import typiclust

    weight = None if scores is None else Weight(scores, request.score_strength)
    given: dict[str, Any] = {"candidates": candidates, "seed": request.seed}
    if request.strategy is SelectionStrategy.FACILITY_LOCATION:
        return facility_location(rows, request.n, selected, weight, **given)
    if request.strategy is SelectionStrategy.TYPICLUST:
        return typiclust(rows, request.n, selected, weight, **given)
    return k_center_greedy(
        rows,
        request.n,
        selected,
        weight,
        combine=request.combine,
        strength=request.strength,
        minimum_distance=request.minimum_distance,
        show_progress=show_progress,
        **given,
    )


def _scores(request: SelectionRequest, pool: _Source) -> NDArray[np.float64]:
    """Return a score for each text: by id where both files have ids, else row by row."""
    assert request.scores is not None
    path = request.scores
    if path.suffix == ".npy":
        return _checked_length(path, _load_array(path), pool)
    table = read_table(path)
    values = _numbers(table, request.score_column)
    if pool.id_column is None or pool.id_column not in table.columns:
        return _checked_length(path, values, pool)
    known = dict(zip(table.ids(pool.id_column), values.tolist(), strict=True))
    missing = [name for name in pool.ids if name not in known]
    if missing:
        raise SuiteError(
            f"{path} has no score for {len(missing)} of {len(pool)} texts, such as the one with "
            f"the id '{missing[0]}'."
        )
    return np.array([known[name] for name in pool.ids])


def _checked_length(path: Path, values: NDArray[Any], pool: _Source) -> NDArray[np.float64]:
    if values.shape != (len(pool),):
        raise SuiteError(
            f"{path} has scores of shape {values.shape}, {pool.table.path} has {len(pool)} texts: "
            "give one number for each, in the same order, or a column of ids in both."
        )
    return _checked_finite(path, values.astype(np.float64))


def _numbers(table: TextTable, column: str) -> NDArray[np.float64]:
    numbers = []
    for row, value in enumerate(table.column(column)):
        try:
            numbers.append(float(value))
        except (TypeError, ValueError) as error:
            raise SuiteError(
                f"{table.path}, row {row}, column '{column}': {value!r} is no number."
            ) from error
    return _checked_finite(table.path, np.array(numbers))


def _checked_finite(path: Path, values: NDArray[np.float64]) -> NDArray[np.float64]:
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise SuiteError(f"{path}, row {row}: the score is {values[row]}. Scores are finite.")
    return values


def _scores_of_selected(
    request: SelectionRequest, labeled: _Source | None, num_others: int
) -> NDArray[np.float64]:
    """Return scores of selected texts outside of the pool, which the objective alone looks at."""
    if request.combine != "objective" or not num_others:
        return np.ones(num_others)
    if labeled is None or len(labeled) != num_others:
        raise SuiteError(
            f"--combine objective counts the scores of all that is selected, and {request.out} has "
            f"picks that {request.texts} no longer has: keep them there, or use product."
        )
    return _numbers(labeled.table, request.score_column)


class _Encoding:
    """Vectors of texts: given ones, or those of an encoder."""

    def __init__(self, request: SelectionRequest, say: Say, show_progress: bool | None) -> None:
        self._request, self._say, self._show = request, say, show_progress

    def of_pool(self, pool: _Source) -> PoolEmbeddings:
        return self._of(pool, self._request.embeddings)

    def of_labeled(self, labeled: _Source) -> PoolEmbeddings:
        given, path = self._request.embeddings, self._request.labeled_embeddings
        if path is None and given is not None and given.suffix == ".npy":
            raise SuiteError(
                f"--embeddings {given} has vectors of --texts, and none of {labeled.table.path}: "
                "give those with --labeled-embeddings."
            )
        return self._of(labeled, path)

    def of_gone(self, texts: Sequence[str]) -> PoolEmbeddings:
        given = self._request.embeddings
        if given is not None and given.suffix == ".npy":
            raise SuiteError(
                f"{self._request.out} has {len(texts)} picks that {self._request.texts} no longer "
                f"has, and there are no vectors of them in {given}: keep them in --texts."
            )
        return self._encoded(f"picks in {self._request.out}", texts, None)

    def _of(self, source: _Source, path: Path | None) -> PoolEmbeddings:
        from small_text_ext.pool.embeddings import PoolEmbeddings

        if path is None or path.suffix != ".npy":
            return self._encoded(str(source.table.path), source.texts, path)
        array = _load_array(path)
        if array.ndim != 2 or len(array) != len(source):
            raise SuiteError(
                f"{path} has the shape {array.shape}, {source.table.path} has {len(source)} texts: "
                "give one vector for each, in the same order."
            )
        try:
            return PoolEmbeddings.from_array(array)
        except ValueError as error:
            raise SuiteError(f"{path}: {error}") from error

    def _encoded(self, name: str, texts: Sequence[str], folder: Path | None) -> PoolEmbeddings:
        from small_text_ext.pool.embeddings import PoolEmbeddings

        self._say(f"{name}: vectors of {len(texts):,} texts")
        encoder = resolve_encoder(self._request.encoder)
        options: dict[str, Any] = {
            "device": self._request.device,
            "show_progress": self._show,
        }
        if folder is None:
            labels = np.zeros(len(texts), dtype=np.int64)
            dataset = LabeledTexts(name, tuple(texts), labels, ("text",), "", name)
            return encode_dataset(dataset, encoder, **options)
        try:
            return PoolEmbeddings.encode(list(texts), encoder.folder, folder, **options)
        except ValueError as error:  # it holds other texts, or vectors of another encoder
            raise SuiteError(str(error)) from error


def _load_array(path: Path) -> NDArray[Any]:
    if not path.is_file():
        raise MissingSourceError(f"{path}: there is no such file.")
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise SuiteError(f"{path} cannot be read as .npy: {error}.") from error
    if not np.issubdtype(array.dtype, np.number):
        raise SuiteError(f"{path} has the type {array.dtype}: give numbers.")
    return array


def _check_dimensions(parts: Sequence[PoolEmbeddings]) -> None:
    dimensions = [part.shape[1] for part in parts]
    if len(set(dimensions)) > 1:
        raise SuiteError(
            f"texts and what is selected have vectors of {dimensions} dimensions: make them with "
            "the same encoder."
        )


def _joined(earlier: _Earlier, pool: _Source, picks: Rows) -> dict[str, list[Any]]:
    """Return the columns of all picks: id and order first, and then all of the texts' table."""
    first = earlier.next_number()
    added: dict[str, list[Any]] = {
        PICK_COLUMN: list(range(first, first + len(picks))),
        pool.id_column or ID_COLUMN: [pool.ids[row] for row in picks],
    }
    for name, cells in pool.table.columns.items():
        added[name] = [cells[row] for row in picks]
    if not earlier.columns:
        return added
    return {name: cells + added[name] for name, cells in earlier.columns.items()}
