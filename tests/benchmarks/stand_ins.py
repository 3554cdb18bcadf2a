"""Small local stand-ins of the hub's data sets and models, of the same schema and architecture.

A data set has the published features, columns, splits and class names, and some dozens of generated
texts whose words depend on the class. A model is a tiny random one of the same architecture. Two
functions are the only places where the harness asks the hub, and tests put these in their place:
`benchmarks.hub_data.open_hub` and `benchmarks.encoders.hub_snapshot`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

from benchmarks import encoders, hub_data
from benchmarks.datasets import MissingSourceError
from tests.tiny_models import FILLERS, TOPICS, checkpoint

Columns = dict[str, list[Any]]
UNLABELED = -1
MPNET = "embedding_all-mpnet-base-v2"
VECTOR_WIDTH = 16

ARCHITECTURES = {
    "google-bert/bert-base-uncased": "bert",
    "google-bert/bert-base-cased": "bert",
    "google-bert/bert-large-uncased": "bert",
    "google/bert_uncased_L-2_H-128_A-2": "bert",
    "prajjwal1/bert-tiny": "bert",
    "albert/albert-base-v2": "albert",
    "albert/albert-large-v2": "albert",
    "microsoft/deberta-v3-base": "deberta-v2",
    "openai-community/gpt2": "gpt2",
    "google-t5/t5-base": "t5",
    "FacebookAI/roberta-base": "roberta",
    "FacebookAI/roberta-large": "roberta",
    "distilbert/distilbert-base-uncased": "distilbert",
    "google/electra-small-discriminator": "electra",
    "google/electra-base-discriminator": "electra",
    "allenai/longformer-base-4096": "longformer",
    "kiddothe2b/longformer-mini-1024": "longformer",
    "google/bigbird-roberta-base": "bigbird",
    "google/bigbird-roberta-large": "bigbird",
    "sentence-transformers/all-MiniLM-L6-v2": "bert",
    "sentence-transformers/all-MiniLM-L12-v2": "bert",
    "sentence-transformers/all-mpnet-base-v2": "mpnet",
    "sentence-transformers/paraphrase-mpnet-base-v2": "mpnet",
}
"""Encoder on the hub to architecture of its stand-in; more where a suite names more."""

NLI_MODELS = {"facebook/bart-large-mnli": "bart"}
"""The same of models of natural language inference, which have a head of three classes."""


def class_text(label: int, number: int, length: int = 8, seed: int = 0) -> str:
    """Return a text of which half the words are of its class.

    Classes of one topic have other words of it: a class is told by pairs of topic and word.
    """
    generator = np.random.default_rng([seed, max(label, 0), number])
    topic = TOPICS[label % len(TOPICS)]
    first = (label // len(TOPICS)) % len(topic)
    own = [topic[first], topic[(first + 1) % len(topic)]]
    words = [str(w) for w in generator.choice(own, length // 2)]
    words += [str(w) for w in generator.choice(FILLERS, length - length // 2)]
    return " ".join(generator.permutation(words))


@dataclass(frozen=True)
class StandIn:
    """A data set of the hub in small: its features, and a function that fills a split."""

    features: Features
    sizes: dict[str, int]
    fill: Callable[[str, int], Columns]

    def make(self) -> DatasetDict:
        """Generate all splits."""
        return DatasetDict(
            {
                split: Dataset.from_dict(self.fill(split, size), features=self.features)
                for split, size in self.sizes.items()
            }
        )


# Labels of a split


def _labels(split: str, size: int, num_classes: int, hidden: Sequence[str] = ()) -> list[int]:
    if split in hidden:
        return [UNLABELED] * size
    return [number % num_classes for number in range(size)]


def _seed(split: str) -> int:
    return sum(map(ord, split))


def _texts(split: str, labels: Sequence[int], seed: int = 0) -> list[str]:
    return [class_text(label, n, seed=_seed(split) + seed) for n, label in enumerate(labels)]


# Shapes of data sets


def _single(
    split: str,
    size: int,
    *,
    text: str = "text",
    label: str = "label",
    num_classes: int = 2,
    hidden: Sequence[str] = (),
    more: Callable[[Sequence[int]], Columns] = lambda labels: {},
) -> Columns:
    labels = _labels(split, size, num_classes, hidden)
    return {text: _texts(split, labels), label: list(labels), **more(labels)}


def _pairs(
    split: str,
    size: int,
    *,
    columns: tuple[str, str],
    num_classes: int,
    hidden: Sequence[str] = (),
    unlabeled_every: int | None = None,
    more: Callable[[Sequence[int]], Columns] = lambda labels: {},
) -> Columns:
    labels = _labels(split, size, num_classes, hidden)
    firsts, seconds = _texts(split, labels), _texts(split, labels, seed=1)
    if unlabeled_every is not None:
        labels = [UNLABELED if n % unlabeled_every == 5 else x for n, x in enumerate(labels)]
    return {columns[0]: firsts, columns[1]: seconds, "label": list(labels), **more(labels)}


def _index(labels: Sequence[int]) -> Columns:
    return {"idx": list(range(len(labels)))}


def _features(**columns: Any) -> Features:  # noqa: ANN401 - features of the datasets library
    return Features(
        {name: Value(kind) if isinstance(kind, str) else kind for name, kind in columns.items()}
    )


def _glue(names: Sequence[str], *texts: str) -> Features:
    named = dict.fromkeys(texts, "string")
    return _features(**named, label=ClassLabel(names=list(names)), idx="int32")


_HIDDEN_TEST = ("test",)
_SENTIMENT = ("negative", "positive")
_ENTAILMENT = ("entailment", "neutral", "contradiction")
_GLUE_SIZES = {"train": 120, "validation": 40, "test": 20}


def _single_glue(names: Sequence[str]) -> StandIn:
    fill = partial(_single, text="sentence", hidden=_HIDDEN_TEST, more=_index)
    return StandIn(_glue(names, "sentence"), _GLUE_SIZES, fill)


def _pair_glue(
    names: Sequence[str],
    columns: tuple[str, str],
    sizes: dict[str, int],
    hidden: Sequence[str] = _HIDDEN_TEST,
) -> StandIn:
    fill = partial(_pairs, columns=columns, num_classes=len(names), hidden=hidden, more=_index)
    return StandIn(_glue(names, *columns), sizes, fill)


def _multi_nli() -> StandIn:
    sides = ("premise", "hypothesis")
    others = [f"{side}{kind}" for side in sides for kind in ("_binary_parse", "_parse")]
    others += ["genre", "pairID"]
    named = dict.fromkeys((*sides, *others), "string")

    def more(labels: Sequence[int]) -> Columns:
        made: Columns = {name: [f"( {name} )"] * len(labels) for name in others}
        return {**made, "promptID": list(range(len(labels)))}

    features = _features(**named, promptID="int32", label=ClassLabel(names=list(_ENTAILMENT)))
    sizes = {"train": 120, "validation_matched": 30, "validation_mismatched": 30}
    fill = partial(_pairs, columns=("premise", "hypothesis"), num_classes=3, more=more)
    return StandIn(features, sizes, fill)


def _snli() -> StandIn:
    features = _features(
        premise="string", hypothesis="string", label=ClassLabel(names=list(_ENTAILMENT))
    )
    fill = partial(_pairs, columns=("premise", "hypothesis"), num_classes=3, unlabeled_every=20)
    return StandIn(features, {"test": 40, "validation": 40, "train": 120}, fill)


def _diagnostics() -> StandIn:
    texts = ("lexical semantics", "predicate-argument structure", "logic", "knowledge", "domain")

    def more(labels: Sequence[int]) -> Columns:
        return {name: [""] * len(labels) for name in texts}

    named = dict.fromkeys((*texts, "premise", "hypothesis"), "string")
    features = _features(**named, label=ClassLabel(names=list(_ENTAILMENT)))
    fill = partial(_pairs, columns=("premise", "hypothesis"), num_classes=3, more=more)
    return StandIn(features, {"test": 30}, fill)


def _winogrande_split(split: str, size: int) -> Columns:
    answers = [""] * size if split == "test" else [str(1 + n % 2) for n in range(size)]
    options = [class_text(n % 2, n, 2).split() for n in range(size)]
    return {
        "sentence": [f"{class_text(n % 2, n)} because _ was new" for n in range(size)],
        "option1": [words[0] for words in options],
        "option2": [words[1] for words in options],
        "answer": answers,
    }


def _winogrande() -> StandIn:
    named = dict.fromkeys(("sentence", "option1", "option2", "answer"), "string")
    sizes = {"train": 120, "test": 20, "validation": 40}
    return StandIn(_features(**named), sizes, _winogrande_split)


def _winograd_split(_: str, size: int) -> Columns:
    texts = [
        f"the goal hit the market because it was {class_text(n % 2, n, 4)}" for n in range(size)
    ]
    return {
        "text": texts,
        "pronoun": ["it"] * size,
        "pronoun_loc": [text.index(" it ") + 1 for text in texts],
        "quote": ["it was"] * size,
        "quote_loc": [text.index(" it ") + 1 for text in texts],
        "options": [["the goal", "the market"]] * size,
        "label": [n % 2 for n in range(size)],
        "source": ["made"] * size,
    }


def _winograd() -> StandIn:
    features = _features(
        text="string",
        pronoun="string",
        pronoun_loc="int32",
        quote="string",
        quote_loc="int32",
        options=List(Value("string")),
        label=ClassLabel(names=["0", "1"]),
        source="string",
    )
    return StandIn(features, {"test": 40}, _winograd_split)


def _super_glue_wsc_split(split: str, size: int) -> Columns:
    texts = [f"Mark told Pete a lie and he knew {class_text(n % 2, n, 4)}" for n in range(size)]
    return {
        "text": texts,
        "span1_index": [0] * size,
        "span2_index": [6] * size,
        "span1_text": ["Mark"] * size,
        "span2_text": ["he"] * size,
        "idx": list(range(size)),
        "label": _labels(split, size, 2, _HIDDEN_TEST),
    }


def _super_glue_wsc() -> StandIn:
    features = _features(
        text="string",
        span1_index="int32",
        span2_index="int32",
        span1_text="string",
        span2_text="string",
        idx="int32",
        label=ClassLabel(names=["False", "True"]),
    )
    return StandIn(features, {"train": 60, "validation": 40, "test": 20}, _super_glue_wsc_split)


def _squad_split(_: str, size: int) -> Columns:
    contexts = [
        f"{class_text(n % 4, n, 12)} . {class_text((n + 1) % 4, n, 12)}" for n in range(size)
    ]
    return {
        "id": [f"{n // 2:08x}{'-high-conf-turk0' if n % 2 else ''}" for n in range(size)],
        "title": ["made"] * size,
        "context": contexts,
        "question": [f"what is {class_text(n % 4, n, 4)} ?" for n in range(size)],
        "answers": [{"text": [text.split()[0]], "answer_start": [0]} for text in contexts],
    }


def _squad_adversarial() -> StandIn:
    features = _features(
        id="string",
        title="string",
        context="string",
        question="string",
        answers={"text": List(Value("string")), "answer_start": List(Value("int32"))},
    )
    return StandIn(features, {"validation": 40}, _squad_split)


def _named(coarse: str, kinds: str) -> tuple[str, ...]:
    return tuple(f"{coarse}:{kind}" for kind in kinds.split())


TREC_COARSE = ("DESC", "ENTY", "ABBR", "HUM", "NUM", "LOC")
TREC_FINE = (
    *_named("ABBR", "abb exp"),
    *_named("ENTY", "animal body color cremat currency dismed event food instru lang letter"),
    *_named("ENTY", "other plant product religion sport substance symbol techmeth termeq veh word"),
    *_named("DESC", "def desc manner reason"),
    *_named("HUM", "gr ind title desc"),
    *_named("LOC", "city country mount other state"),
    *_named("NUM", "code count date dist money ord other period perc speed temp volsize weight"),
)


def _trec_qc() -> StandIn:
    def fill(split: str, size: int) -> Columns:
        labels = _labels(split, size, len(TREC_FINE))
        coarse = [TREC_FINE[label].split(":")[0] for label in labels]
        return {
            "text": _texts(split, labels),
            "label": list(labels),
            "label_text": [f"about {TREC_FINE[label]}" for label in labels],
            "label_original": [TREC_FINE[label] for label in labels],
            "label_coarse": [TREC_COARSE.index(name) for name in coarse],
            "label_coarse_text": [name.lower() for name in coarse],
            "label_coarse_original": coarse,
        }

    texts = ("text", "label_text", "label_original", "label_coarse_text", "label_coarse_original")
    features = _features(**dict.fromkeys(texts, "string"), label="int64", label_coarse="int64")
    return StandIn(features, {"train": 200, "test": 100}, fill)


def _trec() -> StandIn:
    coarse = ("ABBR", "ENTY", "DESC", "HUM", "LOC", "NUM")
    features = _features(
        text="string",
        coarse_label=ClassLabel(names=list(coarse)),
        fine_label=ClassLabel(names=list(TREC_FINE)),
    )

    def fill(split: str, size: int) -> Columns:
        fine = _labels(split, size, len(TREC_FINE))
        kinds = [coarse.index(TREC_FINE[label].split(":")[0]) for label in fine]
        return {"text": _texts(split, fine), "coarse_label": kinds, "fine_label": list(fine)}

    return StandIn(features, {"train": 200, "test": 100}, fill)


_FIVE = ("very negative", "negative", "neutral", "positive", "very positive")


def _set_fit(names: Sequence[str]) -> StandIn:
    def more(labels: Sequence[int]) -> Columns:
        return {"label_text": [names[label] for label in labels]}

    features = _features(text="string", label="int64", label_text="string")
    sizes = {"train": 120, "validation": 40, "test": 60}
    return StandIn(features, sizes, partial(_single, num_classes=len(names), more=more))


EMOTIONS = tuple(
    name
    for line in (
        "admiration amusement anger annoyance approval caring confusion curiosity desire",
        "disappointment disapproval disgust embarrassment excitement fear gratitude grief joy love",
        "nervousness optimism pride realization relief remorse sadness surprise neutral",
    )
    for name in line.split()
)


def _go_emotions() -> StandIn:
    features = _features(text="string", labels=List(ClassLabel(names=list(EMOTIONS))), id="string")

    def fill(split: str, size: int) -> Columns:
        first = _labels(split, size, len(EMOTIONS))
        several = [
            [label, (label + 9) % len(EMOTIONS)] if n % 6 == 0 else [label]
            for n, label in enumerate(first)
        ]
        ids = [f"{split}{n:04d}" for n in range(size)]
        return {"text": _texts(split, first), "labels": several, "id": ids}

    return StandIn(features, {"train": 168, "validation": 56, "test": 56}, fill)


_NEWS = ("World", "Sports", "Business", "Sci/Tech")


def _ag_news() -> StandIn:
    features = _features(text="string", label=ClassLabel(names=list(_NEWS)))
    return StandIn(features, {"train": 200, "test": 80}, partial(_single, num_classes=4))


# AnchorAL's: texts in one configuration, vectors in another, in another order, put together by uid


def _uid(split: str, size: int) -> list[int]:
    start = {"train": 0, "validation": 10_000, "test": 20_000}[split]
    return list(range(start, start + size))


def _agnews_anchoral() -> StandIn:
    features = _features(text="string", labels=ClassLabel(names=list(_NEWS)), uid="int64")

    def fill(split: str, size: int) -> Columns:
        return {
            **_single(split, size, label="labels", num_classes=4),
            "uid": _uid(split, size),
        }

    return StandIn(features, {"train": 200, "test": 80}, fill)


def _wikitoxic() -> StandIn:
    features = _features(
        id="string", text="string", labels=ClassLabel(names=["non", "tox"]), uid="int64"
    )

    def fill(split: str, size: int) -> Columns:
        ids = [f"{split}-{n}" for n in range(size)]
        return {**_single(split, size, label="labels"), "id": ids, "uid": _uid(split, size)}

    return StandIn(features, {"train": 200, "validation": 40, "test": 80}, fill)


AMAZON_CATEGORIES = ((7, 91), (246,), (538, 12), (677,), (413, 3999), (677, 246), (1,), (2, 3))
"""Lists of category ids, one of which holds ids of two classes."""


def _amazoncat() -> StandIn:
    features = _features(
        uid_original="string",
        title="string",
        content="string",
        target_ind=List(Value("int64")),
        target_rel=List(Value("float64")),
        text="string",
        uid="int64",
    )

    def fill(split: str, size: int) -> Columns:
        labels = _labels(split, size, len(AMAZON_CATEGORIES))
        contents = _texts(split, labels)
        titles = [f"title {n}" for n in range(size)]
        return {
            "uid_original": [f"B{n:09d}" for n in range(size)],
            "title": titles,
            "content": contents,
            "target_ind": [list(AMAZON_CATEGORIES[label]) for label in labels],
            "target_rel": [[1.0] * len(AMAZON_CATEGORIES[label]) for label in labels],
            "text": [f"{t}\n{c}" for t, c in zip(titles, contents, strict=True)],
            "uid": _uid(split, size),
        }

    return StandIn(features, {"train": 200, "test": 80}, fill)


def _vectors(sizes: dict[str, int], num_classes: int) -> StandIn:
    """Return vectors that lie about the mean of their class, in the reverse order of the texts."""
    features = _features(**{"uid": "int64", MPNET: List(Value("float32"))})
    means = np.random.default_rng(0).normal(size=(num_classes, VECTOR_WIDTH))

    def fill(split: str, size: int) -> Columns:
        generator = np.random.default_rng(_seed(split))
        labels = _labels(split, size, num_classes)
        rows = means[labels] + 0.3 * generator.normal(size=(size, VECTOR_WIDTH))
        return {"uid": _uid(split, size)[::-1], MPNET: rows[::-1].astype(np.float32).tolist()}

    return StandIn(features, sizes, fill)


_ANCHORAL_SIZES = {"train": 200, "test": 80}

STAND_INS: dict[tuple[str, str | None], StandIn] = {
    ("stanfordnlp/sst2", None): _single_glue(_SENTIMENT),
    ("nyu-mll/glue", "sst2"): _single_glue(_SENTIMENT),
    ("nyu-mll/glue", "cola"): _single_glue(("unacceptable", "acceptable")),
    ("nyu-mll/glue", "qnli"): _pair_glue(
        ("entailment", "not_entailment"), ("question", "sentence"), _GLUE_SIZES
    ),
    ("nyu-mll/glue", "ax"): _pair_glue(
        _ENTAILMENT, ("premise", "hypothesis"), {"test": 30}, hidden=_HIDDEN_TEST
    ),
    ("pietrolesci/glue_diagnostics", None): _diagnostics(),
    ("aps/super_glue", "axb"): _pair_glue(
        ("entailment", "not_entailment"), ("sentence1", "sentence2"), {"test": 30}, hidden=()
    ),
    ("aps/super_glue", "wsc"): _super_glue_wsc(),
    ("aps/super_glue", "wsc.fixed"): _super_glue_wsc(),
    ("nyu-mll/multi_nli", None): _multi_nli(),
    ("stanfordnlp/snli", None): _snli(),
    ("allenai/winogrande", "winogrande_xl"): _winogrande(),
    ("lighteval/winograd_wsc", "wsc273"): _winograd(),
    ("lighteval/winograd_wsc", "wsc285"): _winograd(),
    ("stanfordnlp/squad_adversarial", "AddSent"): _squad_adversarial(),
    ("stanfordnlp/squad_adversarial", "AddOneSent"): _squad_adversarial(),
    ("fancyzhx/ag_news", None): _ag_news(),
    ("SetFit/TREC-QC", None): _trec_qc(),
    ("CogComp/trec", None): _trec(),
    ("SetFit/sst2", None): _set_fit(_SENTIMENT),
    ("SetFit/sst5", None): _set_fit(_FIVE),
    ("google-research-datasets/go_emotions", "simplified"): _go_emotions(),
    ("pietrolesci/agnews", None): _agnews_anchoral(),
    ("pietrolesci/agnews", MPNET): _vectors(_ANCHORAL_SIZES, 4),
    ("pietrolesci/wikitoxic", None): _wikitoxic(),
    ("pietrolesci/wikitoxic", MPNET): _vectors({**_ANCHORAL_SIZES, "validation": 40}, 2),
    ("pietrolesci/amazoncat-13k", None): _amazoncat(),
    ("pietrolesci/amazoncat-13k", MPNET): _vectors(_ANCHORAL_SIZES, len(AMAZON_CATEGORIES)),
}
"""Data set and configuration on the hub to its stand-in."""


class LocalHub:
    """A hub in a folder: each data set is written when it is first asked for.

    Parameters
    ----------
    folder : pathlib.Path
        Where to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open = hub_data.open_hub

    def open_hub(
        self, location: str, config: str | None = None, revision: str | None = None
    ) -> Any:  # noqa: ANN401 - a datasets.DatasetDict
        """Open a stand-in; a folder that is there is opened as ever."""
        if Path(location).exists():
            return self._open(location, config, revision)
        if (location, config) not in STAND_INS:
            raise MissingSourceError(f"hub:{location} ({config}) has no stand-in.")
        saved = self.folder / location.replace("/", "--") / str(config)
        if not saved.exists():
            STAND_INS[location, config].make().save_to_disk(saved)
        return self._open(str(saved))

    def hub_snapshot(self, name: str) -> Path:
        """Return the folder of a tiny model."""
        if name in NLI_MODELS:
            return Path(checkpoint(NLI_MODELS[name], num_labels=3))
        return Path(checkpoint(ARCHITECTURES[name]))

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Take the hub's place as long as the patch lasts."""
        patch.setattr(hub_data, "open_hub", self.open_hub)
        patch.setattr(encoders, "hub_snapshot", self.hub_snapshot)
