"""The two classifiers that are compared: small-text's and ours, from the same checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from small_text import (
    TextDataset,
    TransformerBasedClassification,
    TransformerModelArguments,
    TransformersDataset,
)

from benchmarks.datasets import LabeledTexts
from benchmarks.perf.shared import compute_device
from small_text_ext._random import preserved_global_state
from small_text_ext.classifiers.pretrained import TransformerArguments, quiet
from small_text_ext.classifiers.transformer import TransformerClassification
from small_text_ext.training.precision import Precision, has_bfloat16

BATCH_SIZE = 32
"""Texts of a training step, on every side."""

# A rate at which a few steps spread the probabilities: where all are near one half, a difference
# between the two sides would not show.
_TEACHING_RATE = 2e-4
_TEACHING_EPOCHS = 2


@dataclass(frozen=True)
class Sides:
    """Both sides, with equal weights.

    Parameters
    ----------
    host : small_text.TransformerBasedClassification
        The host's, in float32.
    ours : mapping of str to TransformerClassification
        Ours, by precision.
    """

    host: Any
    ours: Mapping[Precision, TransformerClassification]


def precisions() -> tuple[Precision, ...]:
    """Return what the device that both sides compute on can do without emulation."""
    has_both = has_bfloat16(torch.device(compute_device()))
    return ("float32", "bfloat16") if has_both else ("float32",)


def make_sides(folder: str, sample: LabeledTexts, num_taught: int) -> Sides:
    """Train ours a little, and give the same weights to the others.

    Parameters
    ----------
    folder : str
        The checkpoint.
    sample : LabeledTexts
        Texts of the task.
    num_taught : int
        On how many of them to train.

    Returns
    -------
    Sides
        Classifiers that are fitted, as far as they can tell.
    """
    taught = our_dataset(sample.rows(np.arange(min(num_taught, len(sample)))))
    ours = {
        precision: our_classifier(
            folder, sample, precision, num_epochs=_TEACHING_EPOCHS, lr=_TEACHING_RATE
        ).fit(taught)
        for precision in precisions()
    }
    weights = ours["float32"].model.state_dict()
    host = host_classifier(folder, sample)
    for classifier in (host, *ours.values()):
        classifier.model.load_state_dict(weights)
        classifier.num_epochs, classifier.lr = 1, 2e-5
    return Sides(host, ours)


def our_classifier(
    folder: str,
    sample: LabeledTexts,
    precision: Precision = "auto",
    **options: Any,  # noqa: ANN401
) -> TransformerClassification:
    """Return our classifier for these classes, without a validation set."""
    return TransformerClassification(
        TransformerArguments(folder),
        len(sample.class_names),
        validation_set_size=0.0,
        device=compute_device(),
        batch_size=BATCH_SIZE,
        precision=precision,
        show_progress=False,
        seed=0,
        **options,
    )


def host_classifier(folder: str, sample: LabeledTexts) -> Any:  # noqa: ANN401
    """Return small-text's classifier for these classes, with its model loaded."""
    arguments = TransformerModelArguments(
        folder, train_batch_size=BATCH_SIZE, show_progress_bar=False
    )
    host = TransformerBasedClassification(
        arguments,
        len(sample.class_names),
        num_epochs=1,
        device=compute_device(),
        verbosity=0,
    )
    # The host draws the new head from torch's global generator.
    with quiet(), preserved_global_state(0, torch=True):
        host.initialize()
    host.model.to(host.device)
    return host


def set_host_batch_size(host: Any, batch_size: int) -> None:  # noqa: ANN401
    """Set the batch size of the host's inference, which it reads from two places."""
    host.predict_batch_size = host.transformer_model_args.predict_batch_size = batch_size


def our_dataset(sample: LabeledTexts) -> TextDataset:
    """Return texts as our classifier takes them: as they are."""
    return TextDataset(list(sample.texts), sample.labels, target_labels=_classes(sample))


def host_dataset(sample: LabeledTexts, host: Any, max_length: int) -> TransformersDataset:  # noqa: ANN401
    """Return texts as the host takes them: tokenised, and padded to a fixed length."""
    return TransformersDataset.from_arrays(
        list(sample.texts),
        sample.labels,
        host.tokenizer,
        target_labels=_classes(sample),
        max_length=max_length,
    )


def _classes(sample: LabeledTexts) -> Any:  # noqa: ANN401
    return np.arange(len(sample.class_names))
