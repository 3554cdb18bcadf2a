"""Datasets of topical texts, and tiny transformer classifiers that learn them in seconds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from small_text import TextDataset, TransformersDataset

from small_text_ext import TextPairDataset, TransformerArguments, TransformerClassification
from small_text_ext.training.history import TrainingHistory
from tests.tiny_models import FILLERS, TOPICS, checkpoint, topic_texts

NO_DROPOUT: dict[str, Any] = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def single(
    num_texts: int = 48, num_classes: int = 3, seed: int = 0, length: int = 6
) -> TextDataset:
    """Return texts whose topic is their class, number i of class ``i % num_classes``."""
    texts = topic_texts(num_texts, num_classes, seed, length)
    return TextDataset(
        texts, np.arange(num_texts) % num_classes, target_labels=np.arange(num_classes)
    )


def topics_of(texts: list[str], num_classes: int) -> NDArray[np.int64]:
    """Return which of the topics have a word in each text, a matrix of zeros and ones."""
    return np.array(
        [
            [int(bool(set(text.split()) & set(topic))) for topic in TOPICS[:num_classes]]
            for text in texts
        ]
    )


def multi(num_texts: int = 60, num_classes: int = 3, seed: int = 0) -> TextDataset:
    """Return texts of no topic to two topics, which are their labels."""
    rng = np.random.default_rng([seed, 6])
    texts = []
    for number in range(num_texts):
        topics = rng.choice(num_classes, size=number % 3, replace=False)
        words = [str(word) for topic in topics for word in rng.choice(TOPICS[topic], 2)]
        texts.append(" ".join([*words, *(str(word) for word in rng.choice(FILLERS, 3))]))
    labels = csr_matrix(topics_of(texts, num_classes))
    return TextDataset(texts, labels, target_labels=np.arange(num_classes))


def pairs(num_pairs: int = 48, num_classes: int = 3, seed: int = 0) -> TextPairDataset:
    """Return pairs of which only the second text tells the class."""
    first = [" ".join(FILLERS[: 2 + number % 4]) for number in range(num_pairs)]
    second = topic_texts(num_pairs, num_classes, seed)
    return TextPairDataset(
        list(zip(first, second, strict=True)),
        np.arange(num_pairs) % num_classes,
        target_labels=np.arange(num_classes),
    )


def tokenized(data_set: TextDataset, tokenizer: Any, max_length: int = 16) -> TransformersDataset:  # noqa: ANN401
    """Return the host's dataset of the same texts, padded to one length as the host does."""
    return TransformersDataset.from_arrays(
        data_set.x,
        data_set.y,
        tokenizer,
        target_labels=data_set.target_labels,
        max_length=max_length,
    )


def classifier(
    architecture: str = "bert",
    num_classes: int = 3,
    *,
    head: bool = False,
    dropout: bool = True,
    max_length: int | None = None,
    **options: Any,  # noqa: ANN401
) -> TransformerClassification:
    """Return a tiny classifier with settings under which it learns topics in seconds.

    With ``head`` its checkpoint has a head already, so that what it starts from does not depend on
    a seed; without ``dropout`` its gradients are those of the evaluation mode.
    """
    arguments = TransformerArguments(
        checkpoint(architecture, num_classes if head else None),
        max_length=max_length,
        config_kwargs={} if dropout else NO_DROPOUT,
    )
    small: dict[str, Any] = {
        "num_epochs": 4,
        "lr": 4e-3,
        "batch_size": 8,
        "validation_set_size": 0.0,
        "precision": "float32",
        "seed": 1,
    }
    return TransformerClassification(arguments, num_classes, **{**small, **options})


def dense(result: Any) -> NDArray[Any]:  # noqa: ANN401
    """Return predictions or probabilities as a dense array."""
    return np.asarray(result.toarray() if isinstance(result, csr_matrix) else result)


def all_proba(clf: Any, data_set: Any) -> NDArray[np.float64]:  # noqa: ANN401
    """Return every probability, small ones of multi-label tasks too."""
    return dense(clf.predict_proba(data_set, multi_label_threshold=0.0))


def history_of(clf: TransformerClassification) -> TrainingHistory:
    """Return what the last fit of a fitted classifier measured."""
    assert clf.history_ is not None
    return clf.history_
