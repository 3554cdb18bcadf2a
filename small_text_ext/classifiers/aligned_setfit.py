"""small-text's SetFit classifier, whose encoder is aligned with the classes in place of pairs."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from small_text import AbstractClassifierFactory
from torch import Tensor

from small_text_ext._compat import HookedSetFitClassification
from small_text_ext._random import preserved_global_state, resolve_seed
from small_text_ext.classifiers.base import check_positive_integer, checked_labels
from small_text_ext.classifiers.pretrained import quiet, text_tokenizer
from small_text_ext.training.alignment import AlignmentObjective, AlignmentPlan, AlignmentTuner
from small_text_ext.training.history import TrainingHistory
from small_text_ext.training.tokens import TextTokenizer
from small_text_ext.training.trainer import TokenizedItems

# Tokens of a text where neither the encoder nor the arguments have a limit.
_LONGEST = 512


class AlignedSetFitClassification(HookedSetFitClassification):
    """small-text's ``SetFitClassification`` with this package's contrastive stage.

    SetFit trains its sentence encoder on a list of pairs of texts, whose number grows with the
    square of the training set, and a head after it. Here the same encoder, with all its modules, is
    trained on batches of texts, every one of which is compared with all others and a memory, as
    `EmbeddingAlignmentClassification` does it; then SetFit fits the head it always has. Replacing
    the name of the class, or of the factory, is all that a script needs.

    Parameters
    ----------
    setfit_model_args : small_text.SetFitModelArguments
        The encoder, and what both stages share. Of the first stage's arguments ``max_length``, the
        first of ``train_batch_size`` and of ``body_learning_rate``, ``max_steps``, ``seed``, and
        setfit's ``warmup_proportion`` count; ``num_epochs``, ``sampling_strategy`` and
        ``num_iterations`` are of pairs, and do not.
    num_classes : int
        The number of classes.
    num_epochs : int, default=10
        Each as many batches as the training texts would fill, unless ``max_steps`` of the model
        arguments is above 0; 0 leaves the encoder as it is. Few texts make few steps, far fewer
        than their pairs would: raise it, or the learning rate, where labels are few.
    objective : AlignmentObjective or None, default=None
        The loss; None is supervised contrastive with prototypes.
    plan : AlignmentPlan or None, default=None
        Batches and memory; None is class-balanced batches of ``train_batch_size`` and a ring
        buffer.
    gradient_cache_chunk : int or None, default=None
        Texts whose activations are kept at a time in training; None keeps those of the whole batch.
    **options : Any
        Further arguments of small-text's ``SetFitClassification``.

    Attributes
    ----------
    history_ : TrainingHistory or None
        Losses and number of steps of the last fit's first stage.

    Raises
    ------
    TypeError
        If ``num_epochs`` or ``gradient_cache_chunk`` is no integer.
    ValueError
        If it is out of range.

    Notes
    -----
    Predictions and saving are small-text's: its head knows the classes of the training set alone,
    so that a class without a text makes its predictions fail. Unlike small-text's, a fit leaves the
    global random states as they were. Needs the extra ``setfit``.

    References
    ----------
    L. Tunstall et al., "Efficient Few-Shot Learning Without Prompts", 2022. L. Garbas,
    "embedding-alignment", 2023.
    """

    history_: TrainingHistory | None = None

    def __init__(
        self,
        setfit_model_args: Any,  # noqa: ANN401
        num_classes: int,
        *,
        num_epochs: int = 10,
        objective: AlignmentObjective | None = None,
        plan: AlignmentPlan | None = None,
        gradient_cache_chunk: int | None = None,
        **options: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(setfit_model_args, num_classes, **options)
        if num_epochs != 0:
            check_positive_integer("num_epochs", num_epochs)
        if gradient_cache_chunk is not None:
            check_positive_integer("gradient_cache_chunk", gradient_cache_chunk)
        self.num_epochs, self.gradient_cache_chunk = num_epochs, gradient_cache_chunk
        self.objective = objective or AlignmentObjective()
        self.plan = plan

    def fit(self, train_set: Any, validation_set: Any | None = None) -> Self:  # noqa: ANN401
        """Align the encoder, and fit the head; a second fit goes on from the first.

        Parameters
        ----------
        train_set : small_text.TextDataset
            Labelled texts.
        validation_set : small_text.TextDataset or None, default=None
            Is checked, and not used.

        Returns
        -------
        Self
            The classifier itself.

        Raises
        ------
        ValueError
            If the training set is empty or unlabelled.
        TypeError
            If the encoder is no transformer.
        RuntimeError
            If there are several processes.
        """
        checked_labels(train_set, self.num_classes, self.multi_label, "train_set")
        with preserved_global_state(resolve_seed(self.setfit_model_args.seed), torch=True):
            super().fit(train_set, validation_set)
        return self

    def _train_with(self, trainer: Any, train_args: Any) -> None:  # noqa: ANN401
        texts, labels = (list(trainer.train_dataset[column]) for column in ("text", "label"))
        kind = np.float32 if self.multi_label else np.int64
        targets = torch.from_numpy(np.asarray(labels).astype(kind))
        self.history_ = self._align(texts, targets, train_args)
        trainer.train_classifier(texts, labels, args=train_args)

    def _align(self, texts: list[str], labels: Tensor, train_args: Any) -> TrainingHistory:  # noqa: ANN401
        body: Any = self.model.model_body
        tokenizer = _body_tokenizer(body, train_args.max_length)
        items = TokenizedItems(
            features=tokenizer.encode(texts),
            labels=labels,
            weights=torch.ones(labels.shape),
            ids=torch.arange(len(texts)),
            num_classes=self.num_classes,
        )
        tuner = self._tuner(labels, train_args)
        with quiet():
            return tuner.fit(_Sentences(body), tokenizer, items, _as_they_are, body.device)

    def _tuner(self, labels: Tensor, train_args: Any) -> AlignmentTuner:  # noqa: ANN401
        plan = self.plan or AlignmentPlan(batch_size=train_args.embedding_batch_size)
        batches, memory = plan.made(labels, self.num_classes, train_args.seed)
        return AlignmentTuner(
            num_epochs=self.num_epochs,
            lr=train_args.body_embedding_learning_rate,
            objective=self.objective,
            batches=batches,
            memory=memory,
            warmup=train_args.warmup_proportion,
            chunk_size=self.gradient_cache_chunk,
            dtype=self.amp_args.dtype if self.amp_args.use_amp else None,
            max_steps=train_args.max_steps if train_args.max_steps > 0 else None,
            show_progress=train_args.show_progress_bar,
            seed=train_args.seed,
        )


class AlignedSetFitClassificationFactory(AbstractClassifierFactory):
    """Makes a new `AlignedSetFitClassification` for every round of small-text's active learner.

    It takes the place of small-text's ``SetFitClassificationFactory`` by its name alone.

    Parameters
    ----------
    setfit_model_args : small_text.SetFitModelArguments
        The encoder.
    num_classes : int
        The number of classes.
    classification_kwargs : dict or None, default=None
        Further arguments of `AlignedSetFitClassification`.

    Raises
    ------
    TypeError, ValueError
        If `AlignedSetFitClassification` does not take the arguments.
    """

    def __init__(
        self,
        setfit_model_args: Any,  # noqa: ANN401
        num_classes: int,
        classification_kwargs: dict[str, Any] | None = None,
    ) -> None:
        self.setfit_model_args = setfit_model_args
        self.num_classes = num_classes
        self.classification_kwargs = dict(classification_kwargs or {})
        self.new()

    def new(self) -> AlignedSetFitClassification:
        """Return a new, unfitted classifier.

        Returns
        -------
        AlignedSetFitClassification
            The classifier.
        """
        return AlignedSetFitClassification(
            self.setfit_model_args, self.num_classes, **self.classification_kwargs
        )


class _Sentences(torch.nn.Module):
    """A sentence encoder that is called as transformers' models are."""

    def __init__(self, body: Any) -> None:  # noqa: ANN401
        super().__init__()
        self.body = body

    def forward(self, **inputs: Tensor) -> Tensor:
        embeddings: Tensor = self.body(inputs)["sentence_embedding"]
        return embeddings


def _as_they_are(embeddings: Any, mask: Tensor) -> tuple[Tensor, ...]:  # noqa: ANN401
    return (embeddings,)


def _body_tokenizer(body: Any, max_length: int | None) -> TextTokenizer:  # noqa: ANN401
    model = getattr(body[0], "auto_model", None)
    if model is None:
        raise TypeError(
            f"The encoder begins with a {type(body[0]).__name__}: pass a sentence-transformers "
            "model that begins with a transformer."
        )
    limits = [length for length in (max_length, body.max_seq_length) if length]
    longest = min(limits, default=_LONGEST)
    return text_tokenizer(body.tokenizer, model.config, longest)
