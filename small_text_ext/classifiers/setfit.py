"""small-text's SetFit classifier, recorded."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.base import clone
from small_text import AbstractClassifierFactory
from torch.optim.optimizer import register_optimizer_step_post_hook
from transformers import TrainerCallback

from small_text_ext._compat import HookedSetFitClassification
from small_text_ext.training.seams import FitPlan, Recorder

# Certain predictions have no finite logit.
_SMALLEST = 1e-12


class RecordedSetFitClassification(HookedSetFitClassification):
    """small-text's ``SetFitClassification``, which tells a recorder what it thinks of its labels.

    SetFit trains the encoder on pairs of texts and the head after it, so there is no pass over the
    items to listen to. Recorded is what follows each epoch, dropout off: with the usual head
    (logistic regression), the probabilities of a head that is fitted to the embeddings as they then
    are, as many epochs as the encoder is trained; with ``use_differentiable_head=True``, those of
    the head itself in the epochs of its own training. Each costs an encoding of the training texts.

    Parameters
    ----------
    setfit_model_args : small_text.SetFitModelArguments
        The encoder. Its ``num_epochs`` is one by default for the encoder, which makes a map of one
        epoch: pass more, such as ``(5, 16)``.
    num_classes : int
        The number of classes.
    recorder : Recorder
        A `DynamicsRecorder` with ``observe="epoch_end"``.
    **options : Any
        Further arguments of small-text's ``SetFitClassification``.

    Raises
    ------
    ValueError
        If the recorder observes training passes.

    Notes
    -----
    Logits are logarithms of probabilities (log odds if multi-label), which have the same softmax;
    margins (``aum``) of dynamics are those of logarithms here. Needs the extra ``setfit``.

    References
    ----------
    L. Tunstall et al., "Efficient Few-Shot Learning Without Prompts", 2022.
    """

    def __init__(
        self,
        setfit_model_args: Any,  # noqa: ANN401
        num_classes: int,
        *,
        recorder: Recorder,
        **options: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(setfit_model_args, num_classes, **options)
        if recorder.observe != "epoch_end":
            raise ValueError(
                f"The recorder observes {recorder.observe!r}, and SetFit has no training pass over "
                "the items: pass DynamicsRecorder(observe='epoch_end')."
            )
        self.recorder = recorder

    def _callbacks(self, sub_train: Any) -> list[Any]:  # noqa: ANN401
        self._observed = _Observed(self, list(sub_train["text"]), np.asarray(sub_train["label"]))
        return [] if self.use_differentiable_head else [_EpochEnd(self._observed)]

    def _train_with(self, trainer: Any, train_args: Any) -> None:  # noqa: ANN401
        observed = self._observed
        try:
            if not self.use_differentiable_head:
                super()._train_with(trainer, train_args)
            else:
                observed.begin(train_args.classifier_num_epochs)
                with observed.watching(train_args.classifier_batch_size):
                    super()._train_with(trainer, train_args)
        finally:
            del self._observed
        self.recorder.end(observed.num_epochs)


class RecordedSetFitClassificationFactory(AbstractClassifierFactory):
    """Makes a new `RecordedSetFitClassification` for every round of small-text's active learner.

    Parameters
    ----------
    setfit_model_args : small_text.SetFitModelArguments
        The encoder.
    num_classes : int
        The number of classes.
    classification_kwargs : dict
        Further arguments of `RecordedSetFitClassification`; ``recorder`` is one of them, and is
        shared by all rounds: it holds the last one's dynamics.
    """

    def __init__(
        self,
        setfit_model_args: Any,  # noqa: ANN401
        num_classes: int,
        classification_kwargs: dict[str, Any],
    ) -> None:
        if "recorder" not in classification_kwargs:
            raise TypeError(
                "classification_kwargs has no recorder: pass "
                "{'recorder': DynamicsRecorder(observe='epoch_end')}."
            )
        self.setfit_model_args = setfit_model_args
        self.num_classes = num_classes
        self.classification_kwargs = dict(classification_kwargs)

    def new(self) -> RecordedSetFitClassification:
        """Return a new, unfitted classifier.

        Returns
        -------
        RecordedSetFitClassification
            The classifier.
        """
        return RecordedSetFitClassification(
            self.setfit_model_args, self.num_classes, **self.classification_kwargs
        )


class _Observed:
    """The texts of a fit, and the recorder that is told of them."""

    def __init__(
        self, clf: RecordedSetFitClassification, texts: list[str], labels: NDArray[Any]
    ) -> None:
        self.clf, self.texts, self.labels = clf, texts, labels
        self.num_epochs = 0

    def begin(self, num_epochs: int) -> None:
        clf = self.clf
        plan = FitPlan(
            ids=torch.arange(len(self.texts)),
            num_classes=clf.num_classes,
            num_epochs=num_epochs,
            batch_size=len(self.texts),
            multi_label=clf.multi_label,
            seed=0,
        )
        clf.recorder.begin(plan)

    def observe(self) -> None:
        """Tell the recorder what the model thinks now."""
        model: Any = self.clf.model
        modes = {module: module.training for module in model.model_body.modules()}
        with torch.no_grad():
            vectors = model.encode(self.texts, show_progress_bar=False)
            probabilities = self._probabilities(model, vectors)
        for module, mode in modes.items():
            module.training = mode
        clipped = np.clip(probabilities, _SMALLEST, 1 - _SMALLEST)
        logits = logit(clipped) if self.clf.multi_label else np.log(clipped)
        self.clf.recorder.record(
            torch.arange(len(self.texts)),
            torch.from_numpy(logits),
            torch.from_numpy(self.labels),
            self.num_epochs,
        )
        self.num_epochs += 1

    def _probabilities(self, model: Any, vectors: Any) -> NDArray[np.float64]:  # noqa: ANN401
        if self.clf.use_differentiable_head:
            training = model.model_head.training
            found = model.model_head.predict_proba(vectors)
            model.model_head.train(training)
            return np.asarray(found.detach().cpu().numpy(), dtype=np.float64)
        head = clone(model.model_head).fit(vectors, self.labels)
        found = head.predict_proba(vectors)
        if self.clf.multi_label:
            return np.asarray(found, dtype=np.float64)
        everything = np.zeros((len(vectors), self.clf.num_classes))
        everything[:, head.classes_] = found
        return everything

    @contextmanager
    def watching(self, batch_size: int) -> Iterator[None]:
        """Observe after each epoch of a differentiable head: setfit trains it without callbacks."""
        steps_an_epoch = math.ceil(len(self.texts) / batch_size)
        parameters = {id(parameter) for parameter in self.clf.model.model_head.parameters()}
        steps = 0

        def count(optimizer: torch.optim.Optimizer, *_: object) -> None:
            nonlocal steps
            own = (p for group in optimizer.param_groups for p in group["params"])
            if any(id(parameter) in parameters for parameter in own):
                steps += 1
                if steps % steps_an_epoch == 0:
                    self.observe()

        handle = register_optimizer_step_post_hook(count)
        try:
            yield
        finally:
            handle.remove()


class _EpochEnd(TrainerCallback):
    """Observes after each epoch of the encoder."""

    def __init__(self, observed: _Observed) -> None:
        self.observed = observed

    def on_train_begin(self, args: Any, state: Any, *_: Any, **__: Any) -> None:  # noqa: ANN401
        # Only the trainer knows how many epochs max_steps leaves.
        self.observed.begin(math.ceil(state.num_train_epochs))

    def on_epoch_end(self, *_: Any, **__: Any) -> None:  # noqa: ANN401
        self.observed.observe()
