"""Texts with a gap and two words for it, as pairs of texts: the gap filled with one, or the other.

WinoGrande and the Winograd schemas ask which of two fits. A classifier of pairs is shown both
fillings, and its classes are the first and the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from benchmarks.suggestions import SuiteError

_NUM_CHOICES = 2


class Fillings(BaseModel):
    """Where the gap of each text is, and where the words for it are.

    Parameters
    ----------
    columns : tuple of str
        Two columns of words, or one whose cells are lists of two.
    mark : str or None
        What stands for the gap in the text, such as ``_``.
    position, replaced : str or None
        Columns of where in the text, in letters, the gap begins, and of what stands there: the
        pronoun of a Winograd schema. Without a mark, both.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: tuple[str, ...]
    mark: str | None = None
    position: str | None = None
    replaced: str | None = None

    @model_validator(mode="after")
    def _is_complete(self) -> Fillings:
        if len(self.columns) not in (1, _NUM_CHOICES):
            raise ValueError(
                f"fillings.columns names {len(self.columns)} columns: name two of words, or one of "
                "lists of two."
            )
        by_column = (self.position is not None, self.replaced is not None)
        if (bool(self.mark), *by_column) not in ((True, False, False), (False, True, True)):
            raise ValueError(
                "fillings says where the gap is by mark, or by position and replaced: pass either."
            )
        return self


def filled(text: str, choices: Sequence[str], start: int, length: int) -> tuple[str, str]:
    """Put each of two words in the place of a part of a text.

    Parameters
    ----------
    text : str
        The text.
    choices : sequence of str
        The two words.
    start, length : int
        The part, in letters.

    Returns
    -------
    (str, str)
        The text with the first, and with the second.

    Examples
    --------
    >>> filled("The _ is full.", ["glass", "plate"], 4, 1)
    ('The glass is full.', 'The plate is full.')
    """
    first, second = (text[:start] + choice + text[start + length :] for choice in choices)
    return first, second


def filled_pairs(
    source: str,
    texts: Sequence[str],
    choices: Sequence[Sequence[str]],
    mark: str | None = None,
    places: Sequence[tuple[Any, Any]] = (),
) -> list[tuple[str, str]]:
    """Fill the gaps of a data set.

    Parameters
    ----------
    source : str
        What errors call the data set.
    texts : sequence of str
        The texts.
    choices : sequence of sequences of str
        The two words for each.
    mark : str or None, default=None
        What stands for the gap.
    places : sequence of (int, str), default=()
        Without a mark, where the gap of each text begins, and what stands there.

    Returns
    -------
    list of (str, str)
        Both fillings of each text.

    Raises
    ------
    SuiteError
        If there are not two words, or the gap is not where it should be; the message names the row.
    """
    pairs = []
    for row, (text, words) in enumerate(zip(texts, choices, strict=True)):
        if len(words) != _NUM_CHOICES:
            raise SuiteError(f"{source}, row {row}: {len(words)} words for the gap, not two.")
        start, gap = (text.find(mark), mark) if mark else (int(places[row][0]), str(places[row][1]))
        if start < 0 or not _stands_there(text, start, gap):
            raise SuiteError(
                f"{source}, row {row}: {gap!r} does not stand in {text!r} where fillings says: "
                "change fillings.mark, or fillings.position and fillings.replaced."
            )
        pairs.append(filled(text, words, start, len(gap)))
    return pairs


def _stands_there(text: str, start: int, gap: str) -> bool:
    return text[start : start + len(gap)].casefold() == gap.casefold()
