"""A small head on frozen vectors: linear or one hidden layer, trained in milliseconds."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from small_text_ext._random import Seed, preserved_global_state
from small_text_ext.classifiers.base import (
    ClassWeight,
    Inference,
    Items,
    TrainedClassifier,
    TrainedClassifierFactory,
    check_positive_integer,
    dense_matrix,
)
from small_text_ext.training.head_trainer import HeadData, HeadSchedule, HeadTrainer
from small_text_ext.training.history import TrainingHistory
from small_text_ext.training.seams import BatchSelector, Recorder

_INFERENCE_ROWS = 16_384
_LINEAR_LR = 3.0
_HIDDEN_LR = 1.0
_USUAL_STEPS = 100
_FEWEST_EPOCHS = 5
_MASK_LEVELS = 2**16


@dataclass(frozen=True)
class MLPModelArguments:
    """The shape of the head.

    Parameters
    ----------
    hidden_size : int or None, default=None
        Units of the one hidden layer; None is a linear head, that is, logistic regression.
    dropout : float, default=0.0
        Share of the last layer's inputs that is dropped in training: hidden units, or in a linear
        head the components of the vectors.

    Raises
    ------
    ValueError
        If ``hidden_size`` is below 1 or ``dropout`` not in [0, 1).

    Examples
    --------
    >>> MLPModelArguments(hidden_size=64)
    MLPModelArguments(hidden_size=64, dropout=0.0)
    """

    hidden_size: int | None = None
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.hidden_size is not None:
            check_positive_integer("hidden_size", self.hidden_size)
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}: pass a share of at least 0 and below 1.")


class Head(nn.Module):
    """The module: an optional hidden layer, dropout, and the output layer.

    Parameters
    ----------
    num_features : int
        The dimension of the vectors.
    num_classes : int
        The number of logits.
    model_args : MLPModelArguments
        The shape.

    Notes
    -----
    The output layer starts at zero, so that an unfitted head predicts its biases alone, and what a
    linear head learns stays in the span of the vectors it was trained on.
    """

    def __init__(self, num_features: int, num_classes: int, model_args: MLPModelArguments) -> None:
        super().__init__()
        size = model_args.hidden_size
        self.num_features = num_features
        self.hidden: nn.Module = nn.Identity()
        if size is not None:
            self.hidden = nn.Sequential(nn.Linear(num_features, size), nn.ReLU())
        self.dropout = nn.Dropout(model_args.dropout)
        self.output = nn.Linear(num_features if size is None else size, num_classes)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, vectors: Tensor) -> Tensor:
        """Return logits (n, num_classes) for vectors (n, num_features)."""
        logits: Tensor = self.output(self.dropout(self.hidden(vectors)))
        return logits

    @torch.no_grad()
    def sampled_logits(self, vectors: Tensor, num_samples: int) -> Tensor:
        """Return logits of several passes with dropout on, whatever the module's mode.

        What comes before dropout is computed once. On a CPU, where torch's dropout costs more than
        a small head's layers, a mask takes a quarter of a random integer for each activation; the
        share of zeros is then ``dropout`` to the nearest 65,536th.

        Parameters
        ----------
        vectors : torch.Tensor, shape (n, num_features)
            What to predict.
        num_samples : int
            The number of passes.

        Returns
        -------
        torch.Tensor, shape (num_samples, n, num_classes)
            Logits without a gradient; they draw from torch's global generator.
        """
        activations = self.hidden(vectors)
        share = self.dropout.p
        drop = _drop_by_bits if vectors.device.type == "cpu" else functional.dropout
        return torch.stack([self.output(drop(activations, share)) for _ in range(num_samples)])


class MLPClassification(TrainedClassifier):
    """A linear or one-hidden-layer classifier on frozen sentence vectors.

    The encoder runs once over the pool; a round of active learning then costs a fit of some tens
    of milliseconds and a matrix product, so that strategies can be compared on large pools without
    a GPU. It takes a small-text ``SklearnDataset`` whose ``x`` is a dense matrix or a
    `PoolEmbeddings`.

    The biases of a new head start at the (weighted) class frequencies, so that training spends its
    steps on telling rare classes apart and not on learning that they are rare. Fitted again, the
    classifier goes on from its present parameters.

    Parameters
    ----------
    model_args : MLPModelArguments
        Linear, or with a hidden layer.
    num_classes : int
        The number of classes; a training set need not hold all of them.
    multi_label : bool, default=False
        Whether an item may have several labels, or none.
    num_epochs : int or None, default=None
        Passes over the training set; None makes as many as give about 100 steps, and at least 5.
        More steps fit the labels more closely: the labels of a small set can be learnt by heart.
    lr : float or None, default=None
        Learning rate for vectors of unit length; None is 3 for a linear head and 1 with a hidden
        layer. It is divided by the vectors' mean squared length, so that
        the scale of the vectors hardly matters, and by the root mean square of the weights, so
        that a rare item of great weight does not upset the others.
    weight_decay : float, default=1e-4
        L2 penalty on the weight matrices, relative to the mean loss: logistic regression's
        ``1 / (C * n)``. Larger values draw all probabilities to the class frequencies. The default
        is for some hundred labels; for tens of thousands, where it would drown a rare class, pass
        1e-6.
    batch_size : int, default=64
        Items that a step trains.
    class_weight : {"balanced"} or None, default=None
        "balanced" makes all classes weigh the same in the loss.
    validation_set_size : float, default=0.0
        The share of the training set that is split off, class by class, where `fit` is given no
        validation set; 0 trains on everything for all epochs.
    lr_scheduler_type : {"linear", "constant"}, default="linear"
        Whether the learning rate falls to zero in the course of the fit, or stays: a curve over
        epochs that does not know where it ends wants "constant", and a smaller ``lr``.
    early_stopping_patience : int or None, default=10
        With a validation set: stop after this many epochs without a lower loss; None never stops.
        The best epoch's parameters are kept in either case.
    device : str or None, default=None
        Where to compute; None is a GPU where there is one.
    batch_selector : BatchSelector or None, default=None
        Chooses which items of a candidate batch are trained; None trains all.
    recorder : Recorder or None, default=None
        Is told the logits of the items of every fit.
    seed : int, numpy.random.Generator or None, default=None
        Same seed, same data, same parameters.

    Attributes
    ----------
    model : Head or None
        The module; None before the first fit.
    history_ : TrainingHistory or None
        Losses, best epoch and number of steps of the last fit.

    Notes
    -----
    `embed` returns the hidden activations. A linear head has none: it returns the vectors
    themselves.

    Examples
    --------
    >>> import numpy as np
    >>> from small_text import SklearnDataset
    >>> x = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> train_set = SklearnDataset(x, np.array([0, 0, 1, 1]), target_labels=np.arange(2))
    >>> clf = MLPClassification(MLPModelArguments(), num_classes=2, seed=1).fit(train_set)
    >>> clf.predict(train_set).tolist()
    [0, 0, 1, 1]
    """

    def __init__(
        self,
        model_args: MLPModelArguments,
        num_classes: int,
        multi_label: bool = False,
        *,
        num_epochs: int | None = None,
        lr: float | None = None,
        weight_decay: float = 1e-4,
        batch_size: int = 64,
        class_weight: ClassWeight = None,
        validation_set_size: float = 0.0,
        lr_scheduler_type: HeadSchedule = "linear",
        early_stopping_patience: int | None = 10,
        device: str | None = None,
        batch_selector: BatchSelector | None = None,
        recorder: Recorder | None = None,
        seed: Seed = None,
    ) -> None:
        super().__init__(
            num_classes,
            multi_label,
            class_weight=class_weight,
            validation_set_size=validation_set_size,
            seed=seed,
        )
        _check_options(model_args, num_epochs, lr, weight_decay, batch_size)
        if early_stopping_patience is not None:
            check_positive_integer("early_stopping_patience", early_stopping_patience)
        self.model_args = model_args
        self.num_epochs = num_epochs
        self.lr = lr
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        if lr_scheduler_type not in get_args(HeadSchedule):
            raise ValueError(
                f"lr_scheduler_type is {lr_scheduler_type!r}: pass 'linear' or 'constant'."
            )
        self.lr_scheduler_type: HeadSchedule = lr_scheduler_type
        self.early_stopping_patience = early_stopping_patience
        self.device = device
        self.batch_selector = batch_selector
        self.recorder = recorder
        self.model: Head | None = None
        self.history_: TrainingHistory | None = None

    def predict_proba(
        self,
        data_set: Any,  # noqa: ANN401
        multi_label_threshold: float = 0.5,
        dropout_sampling: int = 1,
    ) -> Any:  # noqa: ANN401
        """Predict class probabilities.

        Parameters
        ----------
        data_set : small_text.data.Dataset
            What to predict; its labels are not looked at.
        multi_label_threshold : float, default=0.5
            As in `TrainedClassifier.predict_proba`.
        dropout_sampling : int, default=1
            Above 1, the number of passes with dropout on, each a sample of a probable model
            (Monte Carlo dropout), as small-text's ``BALD`` asks for. Same seed, same samples; a
            head without dropout gives the same one each time.

        Returns
        -------
        numpy.ndarray of float64, or scipy.sparse.csr_matrix, shape (n, num_classes)
            As `TrainedClassifier.predict_proba`. With ``dropout_sampling`` above 1 a dense array of
            shape (n, dropout_sampling, num_classes), in a multi-label task too.
        """
        check_positive_integer("dropout_sampling", dropout_sampling)
        if dropout_sampling == 1:
            return super().predict_proba(data_set, multi_label_threshold)
        self._check_fitted()
        with preserved_global_state(self.seed, torch=True):
            logits = self._infer_samples(data_set, dropout_sampling)
        return self._proba_of_samples(logits)

    def _train(self, train: Items, validation: Items | None, seed: int) -> None:
        data = self._head_data(train)
        others = [
            None if items is None else self._head_data(items)
            for items in (validation, self._held_out())
        ]
        # A copy, so that a fit that fails leaves the classifier as it was.
        module = copy.deepcopy(self.model) if self.model else self._new_head(data, seed)
        for part in (data, *others):
            if part is not None:
                _check_dimension(part.inputs.shape[1], module.num_features)
        module.to(self._device)
        self.history_ = self._trainer(data, seed).fit(module, data, *others)
        self.model = module

    def _trainer(self, data: HeadData, seed: int) -> HeadTrainer:
        lr = self.lr
        if lr is None:
            lr = _LINEAR_LR if self.model_args.hidden_size is None else _HIDDEN_LR
        return HeadTrainer(
            num_epochs=self.num_epochs or _default_epochs(len(data.ids), self.batch_size),
            lr=lr * _step_scale(data),
            weight_decay=self.weight_decay,
            batch_size=self.batch_size,
            early_stopping_patience=self.early_stopping_patience,
            batch_selector=self.batch_selector,
            recorder=self.recorder,
            seed=seed,
            lr_scheduler_type=self.lr_scheduler_type,
        )

    def _infer(self, data_set: Any, embed: bool = False) -> Inference:  # noqa: ANN401
        module = self._module_for(data_set)
        logits = [np.empty((0, self.num_classes), dtype=np.float32)]
        hidden = [np.empty((0, module.output.in_features), dtype=np.float32)]
        with torch.inference_mode():
            for vectors in _blocks(dense_matrix(data_set.x)):
                activations = module.hidden(vectors.to(self._device))
                logits.append(module.output(activations).cpu().numpy())
                if embed:
                    hidden.append(activations.cpu().numpy())
        return Inference(np.concatenate(logits), np.concatenate(hidden) if embed else None)

    def _infer_samples(self, data_set: Any, num_samples: int) -> NDArray[np.float32]:  # noqa: ANN401
        module = self._module_for(data_set)
        logits = [np.empty((0, num_samples, self.num_classes), dtype=np.float32)]
        for vectors in _blocks(dense_matrix(data_set.x)):
            passes = module.sampled_logits(vectors.to(self._device), num_samples)
            logits.append(passes.transpose(0, 1).cpu().numpy())
        return np.concatenate(logits)

    def _module_for(self, data_set: Any) -> Head:  # noqa: ANN401
        """Return the module on its device, once the vectors are known to fit it."""
        assert self.model is not None
        module = self.model.to(self._device)
        x = dense_matrix(data_set.x)
        if x.shape[0]:
            _check_dimension(x.shape[1], module.num_features)
        return module

    def _head_data(self, items: Items) -> HeadData:
        x = dense_matrix(items.data_set.x)
        rows = items.rows if len(items.rows) < x.shape[0] else slice(None)
        return HeadData(
            inputs=_tensor(x[rows]).to(self._device),
            labels=torch.from_numpy(items.labels).to(self._device),
            weights=torch.from_numpy(items.weights).to(self._device),
            ids=torch.from_numpy(items.rows),
            num_classes=self.num_classes,
        )

    def _new_head(self, data: HeadData, seed: int) -> Head:
        with preserved_global_state(seed, torch=True):
            head = Head(data.inputs.shape[1], self.num_classes, self.model_args)
        with torch.no_grad():
            head.output.bias.copy_(_prior_logits(data))
        return head

    @property
    def _device(self) -> torch.device:
        return torch.device(self.device or ("cuda" if torch.cuda.is_available() else "cpu"))

    def __getstate__(self) -> dict[str, Any]:
        # Parameters travel on the CPU: the file must open on a machine without this one's GPU.
        return {**self.__dict__, "model": copy.deepcopy(self.model).cpu() if self.model else None}


class MLPClassificationFactory(TrainedClassifierFactory):
    """Makes a new `MLPClassification` for every round of small-text's active learner.

    Parameters
    ----------
    model_args : MLPModelArguments
        Linear, or with a hidden layer.
    num_classes : int
        The number of classes.
    classification_kwargs : dict or None, default=None
        Further arguments of `MLPClassification`. A ``seed`` that is missing, None or a generator
        is drawn once: all classifiers of one factory have the same seed, so that a round's model
        depends on its labels alone.

    Raises
    ------
    TypeError, ValueError
        If `MLPClassification` does not take the arguments: when the factory is made, not in the
        first round.

    Examples
    --------
    >>> factory = MLPClassificationFactory(
    ...     MLPModelArguments(hidden_size=64), 2, {"class_weight": "balanced", "seed": 1}
    ... )
    >>> factory.new().class_weight
    'balanced'
    """

    def new(self) -> MLPClassification:
        """Return a new, unfitted classifier.

        Returns
        -------
        MLPClassification
            The classifier.
        """
        return self._made(MLPClassification)


def _drop_by_bits(activations: Tensor, share: float) -> Tensor:
    """Return activations of which ``share`` are zero and the others larger in proportion."""
    dropped = min(round(share * _MASK_LEVELS), _MASK_LEVELS - 1)
    integers = torch.empty((activations.numel() + 3) // 4, dtype=torch.int64)
    bits = integers.random_(torch.iinfo(torch.int64).min, None).view(torch.int16)
    kept = bits[: activations.numel()] >= dropped - _MASK_LEVELS // 2
    return activations * kept.view_as(activations) * (_MASK_LEVELS / (_MASK_LEVELS - dropped))


def _check_options(
    model_args: MLPModelArguments,
    num_epochs: int | None,
    lr: float | None,
    weight_decay: float,
    batch_size: int,
) -> None:
    if not isinstance(model_args, MLPModelArguments):
        raise TypeError(f"model_args is {model_args!r}: pass an MLPModelArguments.")
    if num_epochs is not None:
        check_positive_integer("num_epochs", num_epochs)
    check_positive_integer("batch_size", batch_size)
    if lr is not None and not 0 < lr < math.inf:
        raise ValueError(f"lr is {lr}: pass a number above 0, or None for the default.")
    if not 0 <= weight_decay < math.inf:
        raise ValueError(f"weight_decay is {weight_decay}: pass a number of at least 0.")


def _default_epochs(num_items: int, batch_size: int) -> int:
    steps_per_epoch = math.ceil(num_items / batch_size)
    return max(_FEWEST_EPOCHS, round(_USUAL_STEPS / steps_per_epoch))


def _step_scale(data: HeadData) -> float:
    """Return what the learning rate is multiplied with: 1 for unit vectors of equal weight.

    Curvature grows with the squared length of the vectors; the noise of a batch's gradient grows
    with the root mean square of the weights, as a rare item of weight 50 is in one batch of ten.
    """
    squared_length = float(data.inputs.square().sum(dim=1).mean())
    spread = float(data.weights.square().mean().sqrt())
    return 1 / (squared_length or 1.0) / spread


def _prior_logits(data: HeadData) -> Tensor:
    """Return the logits of the weighted class frequencies, with one pseudo-item per class."""
    if data.labels.ndim == 2:
        ones = (data.labels * data.weights).sum(dim=0)
        zeros = ((1 - data.labels) * data.weights).sum(dim=0)
        return torch.log((ones + 1) / (zeros + 1))
    counts = torch.bincount(data.labels, weights=data.weights, minlength=data.num_classes)
    return torch.log((counts + 1) / (counts.sum() + data.num_classes))


def _check_dimension(given: int, expected: int) -> None:
    if given != expected:
        raise ValueError(
            f"x has vectors of dimension {given}, but the classifier was fitted on dimension "
            f"{expected}: pass vectors of the same encoder, or make a new classifier."
        )


def _blocks(x: Any) -> Iterator[Tensor]:  # noqa: ANN401
    for start in range(0, x.shape[0], _INFERENCE_ROWS):
        yield _tensor(x[start : start + _INFERENCE_ROWS])


def _tensor(vectors: Any) -> Tensor:  # noqa: ANN401
    # Torch warns of memory that it might write to: a memory-mapped or frozen array is copied.
    array: NDArray[np.float32] = np.require(vectors, np.float32, ["C", "W"])
    if not np.isfinite(array).all():
        raise ValueError("x holds NaN or infinite values: pass finite vectors.")
    return torch.from_numpy(array)
