"""The published experiments: which of them have a suite, and what was published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.parsing import published_names, read_suite
from benchmarks.specs import OUT_OF_SCOPE

NUM_EXPERIMENTS: Final = 41
"""How many experiments the five lines have published, with or without a suite here."""


@dataclass(frozen=True)
class PublishedExperiment:
    """A published experiment in one row.

    Parameters
    ----------
    id, line, status : str
        As in :class:`benchmarks.specs.Publication`.
    datasets : tuple of str
        Names of its data sets.
    models : tuple of str
        Pretrained models of its classifiers, and kinds of those that have none; of an experiment on
        frozen encoders alone, these.
    num_numbers : int
        Published numbers that the suite knows.
    reason : str
        Why it is out of scope, or what was not found.
    """

    id: str
    line: str
    status: str
    datasets: tuple[str, ...]
    models: tuple[str, ...]
    num_numbers: int
    reason: str

    @property
    def row(self) -> tuple[str, ...]:
        """What ``list published`` shows."""
        return (
            self.id,
            self.line,
            ", ".join(self.datasets),
            ", ".join(self.models),
            self.status,
            str(self.num_numbers),
        )


def published_experiments() -> list[PublishedExperiment]:
    """Return the published experiments that have a suite, by line and id.

    Returns
    -------
    list of PublishedExperiment
        As their files say; nothing is checked, so that a list is quick.
    """
    found = [_experiment(read_suite(name)) for name in published_names()]
    return sorted(found, key=lambda experiment: (experiment.line, experiment.id))


def summary(experiments: list[PublishedExperiment]) -> str:
    """Return how many of all experiments have a suite, in a sentence.

    Examples
    --------
    >>> summary([])
    '0 of 41 published experiments have a suite: 0 to run, 0 out of scope.'
    """
    outside = sum(experiment.status == OUT_OF_SCOPE for experiment in experiments)
    return (
        f"{len(experiments)} of {NUM_EXPERIMENTS} published experiments have a suite: "
        f"{len(experiments) - outside} to run, {outside} out of scope."
    )


def _experiment(raw: Mapping[str, Any]) -> PublishedExperiment:
    published = raw["published"]
    datasets = [str(entry["name"]).removeprefix("hub:") for entry in raw.get("datasets", [])]
    classifiers = raw.get("classifiers", {}).items()
    models = [str(entry.get("model", entry.get("kind", name))) for name, entry in classifiers]
    encoders = [
        model for entry in raw.get("methods", {}).values() for model in entry.get("models", [])
    ]
    return PublishedExperiment(
        id=published["id"],
        line=published["line"],
        status=published["status"],
        datasets=tuple(dict.fromkeys(datasets)),
        models=tuple(dict.fromkeys(encoders or models)),
        num_numbers=len(published.get("numbers", [])),
        reason=published.get("reason", ""),
    )
