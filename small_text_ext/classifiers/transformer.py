"""A fine-tuned encoder on texts as they are: tokenised when needed, padded batch by batch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from small_text_ext._random import Seed, preserved_global_state
from small_text_ext.classifiers.base import (
    ClassWeight,
    Inference,
    Items,
    TrainedClassifierFactory,
    check_positive_integer,
)
from small_text_ext.classifiers.checkpoints import load_checkpoint, save_checkpoint
from small_text_ext.classifiers.encoder import EncoderClassifier, check_fit_options
from small_text_ext.classifiers.host_arguments import (
    resolve_amp_arguments,
    resolve_model_arguments,
)
from small_text_ext.classifiers.lora import PeftConfig
from small_text_ext.classifiers.pretrained import (
    EmbeddingMethod,
    Pretrained,
    TransformerArguments,
    embedding_size,
    hidden_layers,
    load_pretrained,
    num_layers,
    pooled,
    quiet,
    summary_is_first,
)
from small_text_ext.classifiers.texts import texts_of
from small_text_ext.training.fine_tuner import FineTuner
from small_text_ext.training.history import TrainingHistory
from small_text_ext.training.inference import Readout, read_logits
from small_text_ext.training.precision import Precision, default_device, resolve_precision
from small_text_ext.training.seams import BatchSelector, Recorder

HiddenLayer = int | Literal["mean"]

_DEFAULT_BATCH_SIZE = 32


class TransformerClassification(EncoderClassifier):
    """A pretrained encoder with a classification head, fine-tuned on texts.

    Texts stay texts: only what is trained on or scored is tokenised, a batch is padded to its own
    longest text, and texts of similar length go together, as many as make ``max_tokens``. Against
    small-text's ``TransformerBasedClassification``, which pads every text of the pool to
    ``max_length`` and keeps it in memory, the same weights give the same probabilities, several
    times faster.

    Fitted again, the classifier goes on from its present parameters: this is what ``reuse_model``
    of small-text's active learner asks for.

    Parameters
    ----------
    model_args : TransformerArguments, small_text.TransformerModelArguments or str
        The encoder: ours, small-text's (whose ``train_batch_size`` counts, and whose
        ``predict_batch_size`` does not: batches are packed by tokens), or a name.
    num_classes : int
        The number of classes; a training set need not hold all of them.
    multi_label : bool, default=False
        Whether an item may have several labels, or none.
    num_epochs : int, default=10
        Passes over the training set.
    lr : float, default=2e-5
        The highest learning rate.
    validation_set_size : float, default=0.1
        The share of the training set that is split off, class by class, where `fit` is given no
        validation set; 0 trains on everything for all epochs.
    validations_per_epoch : int, default=1
        How often an epoch the validation set is looked at.
    device : str or None, default=None
        Where to compute: "cpu", "cuda" or "mps"; None takes the best there is. With "cuda" all
        visible GPUs train (a batch is spread over them), with "cuda:0" that one alone.
    memory_fix : int, default=1
        Taken for small-text's sake, without effect: a GPU's cache is emptied after each fit.
    class_weight : {"balanced"} or None, default=None
        "balanced" makes all classes weigh the same in the loss.
    amp_args : small_text.AMPArguments or None, default=None
        Sets ``precision`` the way small-text does.
    verbosity : int or None, default=None
        Taken for small-text's sake; 0 switches the progress bars off.
    cache_dir : str or None, default=None
        Where models from the hub are kept; None is Hugging Face's own folder.
    batch_size : int or None, default=None
        Texts a training step, over all GPUs; None is what the model arguments say, or 32.
    max_tokens : int or None, default=None
        Padded tokens of an inference batch; None is 3,072 on a CPU, where anything from 1,024 to
        4,096 was about as fast, and 65,536 on a GPU, which was not measured. A batch that does not
        fit into memory is halved.
    precision : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        What matrix products are computed in, in training too; "auto" is bfloat16 on GPUs and CPUs
        that have it in hardware, and float32 elsewhere. Weights stay in float32.
    weight_decay : float, default=0.01
        AdamW's; biases and layer norms are left alone.
    warmup : float, default=0.0
        The share of all steps over which the learning rate rises to ``lr``.
    lr_scheduler_type : str, default="linear"
        How the learning rate falls after that; any name that the Hugging Face Trainer knows.
    early_stopping_patience : int or None, default=5
        With a validation set: stop after so many epochs without a lower loss; None never stops.
        The parameters of the best validation are kept in either case.
    min_steps : int or None, default=None
        Train for more than ``num_epochs`` where the training set is so small that these are fewer
        batches than that: as many whole epochs as it takes. AnchorAL's experiments train 10 epochs
        or 100 steps, whichever is more.
    group_by_length : bool, default=True
        Train batches of similar length, which is faster where lengths differ; the composition of
        batches then depends on lengths, with some noise.
    training_arguments : mapping of str to Any or None, default=None
        Further arguments of ``transformers.TrainingArguments``, such as
        ``gradient_accumulation_steps``, ``gradient_checkpointing``, ``optim`` or ``report_to``.
    batch_selector : BatchSelector or None, default=None
        Chooses which items of a candidate batch are trained; None trains all.
    recorder : Recorder or None, default=None
        Is told the logits of the items of every fit.
    peft_config : mapping of str to Any, peft.LoraConfig or None, default=None
        Trains low-rank adapters (LoRA, Hu et al., ICLR 2022) in place of the encoder, and the head:
        a mapping of arguments of ``peft.LoraConfig``, ``{}`` for the published ones (rank 8, alpha
        16, query and value projections, no dropout). They want a higher ``lr``, 5e-4 say: see
        `LoRATransformerClassificationFactory`. Needs peft (extra ``lora``).
    show_progress : bool or None, default=None
        None shows progress bars on a terminal only.
    seed : int, numpy.random.Generator or None, default=None
        Same seed, same data, same machine, same parameters.

    Attributes
    ----------
    model : transformers.PreTrainedModel or None
        The model; None before the first fit.
    history_ : TrainingHistory or None
        Losses, best epoch and number of steps of the last fit.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range.

    Notes
    -----
    Differences from small-text's classifier: cross-entropy also for two classes (small-text trains
    those by a binary loss on each logit, and predicts by a softmax); sample weights follow their
    items when a validation set is split off; the epoch of the lowest validation loss is kept, not
    the last; accuracy on the training set does not stop a fit; weights of classes are
    scikit-learn's "balanced"; the global random states stay as they are. Positions and keyword
    arguments are small-text's, but for the name of the first (``model_args``) and for `fit`'s
    ``optimizer``, ``scheduler`` and ``model_selection``, whose places ``training_arguments``,
    ``lr_scheduler_type`` and the best validation take.

    Several processes (``torchrun``, or ``accelerate launch``) train together, each its part of
    every batch. Several GPUs and float16 are the same code, and were not run by the authors.

    Examples
    --------
    >>> clf = TransformerClassification("roberta-base", num_classes=2, num_epochs=3, seed=1)
    >>> clf.num_epochs, clf.model is None
    (3, True)
    """

    def __init__(
        self,
        model_args: Any,  # noqa: ANN401 - ours, small-text's, or a name
        num_classes: int,
        multi_label: bool = False,
        num_epochs: int = 10,
        lr: float = 2e-5,
        validation_set_size: float = 0.1,
        validations_per_epoch: int = 1,
        device: str | None = None,
        memory_fix: int = 1,
        class_weight: ClassWeight = None,
        amp_args: Any = None,  # noqa: ANN401 - small-text's
        verbosity: int | None = None,
        cache_dir: str | None = None,
        *,
        batch_size: int | None = None,
        max_tokens: int | None = None,
        precision: Precision = "auto",
        weight_decay: float = 0.01,
        warmup: float = 0.0,
        lr_scheduler_type: str = "linear",
        early_stopping_patience: int | None = 5,
        min_steps: int | None = None,
        group_by_length: bool = True,
        training_arguments: Mapping[str, Any] | None = None,
        batch_selector: BatchSelector | None = None,
        recorder: Recorder | None = None,
        peft_config: PeftConfig = None,
        show_progress: bool | None = None,
        seed: Seed = None,
    ) -> None:
        super().__init__(
            num_classes,
            multi_label,
            class_weight=class_weight,
            validation_set_size=validation_set_size,
            seed=seed,
        )
        choice = resolve_model_arguments(model_args, cache_dir)
        self.model_args = choice.args
        self.num_epochs, self.min_steps = num_epochs, min_steps
        self.lr, self.weight_decay = float(lr), weight_decay
        self.validations_per_epoch = validations_per_epoch
        self.device = device
        by_default = choice.batch_size or _DEFAULT_BATCH_SIZE
        self.batch_size = by_default if batch_size is None else batch_size
        self.max_tokens = max_tokens
        self.precision: Precision = resolve_amp_arguments(amp_args, precision)
        self.warmup = warmup
        self.lr_scheduler_type = lr_scheduler_type
        self.early_stopping_patience = early_stopping_patience
        self.group_by_length = group_by_length
        self.training_arguments = {**choice.training_arguments, **(training_arguments or {})}
        self.batch_selector = batch_selector
        self.recorder = recorder
        self.peft_config = peft_config
        self.show_progress = False if verbosity == 0 else show_progress
        _check_options(self)
        self.model: Any = None
        self.history_: TrainingHistory | None = None
        self._text_tokenizer: Any = None

    def fit(
        self,
        train_set: Any,  # noqa: ANN401
        validation_set: Any | None = None,  # noqa: ANN401
        weights: ArrayLike | None = None,
        early_stopping: Any = None,  # noqa: ANN401
    ) -> Self:
        """Train on labelled texts.

        Parameters
        ----------
        train_set : small_text.data.Dataset
            A ``TextDataset``, `TextPairDataset` or ``TransformersDataset``; not all classes need to
            occur.
        validation_set : small_text.data.Dataset or None, default=None
            Decides which epoch is best and when to stop early. If None, a share of
            ``validation_set_size`` of the training set does.
        weights : array-like of float, shape (n,), or None, default=None
            Positive sample weights in the order of ``train_set``; only their proportions count.
        early_stopping : "none", small_text.EarlyStoppingHandler or None, default=None
            "none" trains all epochs; a handler decides in place of ``early_stopping_patience``.
            small-text's handlers remember what they saw: pass a new one to every fit.

        Returns
        -------
        Self
            The classifier itself. A fit that fails leaves it as it was.

        Raises
        ------
        ValueError
            If a dataset is empty, unlabelled, or has labels that do not fit the classifier, or if
            a weight is missing, not finite or not positive.
        TypeError
            If a dataset holds no texts, or ``early_stopping`` is no handler.
        FloatingPointError
            If the loss is no longer finite.
        MemoryError
            If a single text does not fit into memory.
        """
        _check_early_stopping(early_stopping)
        train, validation, seed = self._prepared(train_set, validation_set, weights)
        self._train(train, validation, seed, early_stopping)
        return self

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
            In a multi-label task, probabilities at or below this are left out of the sparse
            result, as small-text does; 0.0 keeps them all.
        dropout_sampling : int, default=1
            Above 1, the number of passes with dropout on, each a sample of a probable model
            (Monte Carlo dropout). Same seed, same samples.

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
            passes = self._read(data_set, read_logits, self._sizes(), dropout_sampling)
        logits = np.stack([logits for (logits,) in passes], axis=1)
        shape = (len(logits) * dropout_sampling, self.num_classes)
        proba = self._proba(Inference(logits.reshape(shape)))
        return proba.reshape(logits.shape)

    def embed(
        self,
        data_set: Any,  # noqa: ANN401
        return_proba: bool = False,
        multi_label_threshold: float = 0.5,
        embedding_method: EmbeddingMethod = "avg",
        hidden_layer_index: HiddenLayer = -1,
    ) -> Any:  # noqa: ANN401
        """Return one vector per text from the hidden layers.

        Parameters
        ----------
        data_set : small_text.data.Dataset
            What to embed.
        return_proba : bool, default=False
            Whether to return probabilities, from the same pass, too.
        multi_label_threshold : float, default=0.5
            As in `predict_proba`.
        embedding_method : {"avg", "cls"}, default="avg"
            "avg" is the mean over all tokens of the text; small-text's leaves out the first token
            and takes the padding in, so that its vectors depend on the length padded to. "cls" is
            the token that stands for the text: the first one, or the last one of an encoder
            without such a token (GPT-2, T5).
        hidden_layer_index : int or "mean", default=-1
            Which layer, as small-text counts them: 0 is the first layer after the token
            embeddings, -1 the last. "mean" is the mean over all of them.

        Returns
        -------
        embeddings : numpy.ndarray of float32, shape (n, d)
            One vector per text, of the size of the hidden layers.
        proba : numpy.ndarray of float64, or scipy.sparse.csr_matrix, shape (n, num_classes)
            As `predict_proba` returns it; only with ``return_proba=True``.

        Raises
        ------
        ValueError
            If the method is unknown, or there is no such layer.
        """
        self._check_fitted()
        readout = self._embedding_readout(embedding_method, hidden_layer_index)
        ((logits, embeddings),) = self._read(data_set, readout, self._sizes(True), hidden=True)
        if not return_proba:
            return embeddings
        proba = self._proba(Inference(logits))
        return embeddings, self._shaped(proba, multi_label_threshold)

    def save(self, folder: str | Path) -> None:
        """Write the fitted classifier to a folder: weights in safetensors, the rest in JSON.

        Model and tokenizer lie there as Hugging Face's ``from_pretrained`` reads them; of a model
        with adapters these alone and what is trained beside them, as peft reads them, so that the
        encoder must be had from where it came when they are loaded. Selectors, recorders and the
        history are not saved; pickling keeps them, and the encoder.

        Parameters
        ----------
        folder : str or pathlib.Path
            Where to; it must not exist, or be empty. It is there whole or not at all.

        Raises
        ------
        ValueError
            If the classifier is not fitted.
        FileExistsError
            If there is something in the folder.
        TypeError
            If an argument of the classifier cannot be written as JSON.
        """
        self._check_fitted()
        pretrained = Pretrained(self.model, self._text_tokenizer)
        options = {name: getattr(self, name) for name in _SAVED_OPTIONS}
        model_args = dataclasses.asdict(self.model_args)
        save_checkpoint(folder, pretrained, {**options, "model_args": model_args})

    @classmethod
    def load(cls, folder: str | Path, **options: Any) -> Self:  # noqa: ANN401
        """Read a classifier that `save` has written.

        Parameters
        ----------
        folder : str or pathlib.Path
            The folder.
        **options : Any
            Arguments of the classifier that are to differ from the saved ones, ``device`` say.

        Returns
        -------
        TransformerClassification
            Fitted; another `fit` goes on from its parameters.

        Raises
        ------
        FileNotFoundError
            If no classifier was saved there.
        ValueError
            If it was saved by a version that this one cannot read.
        """
        pretrained, saved = load_checkpoint(folder, options, _base)
        clf = cls(**{**saved, "model_args": _model_arguments(saved)})
        clf.model, clf._text_tokenizer = pretrained.model, pretrained.tokenizer
        return clf

    def _train(
        self,
        train: Items,
        validation: Items | None,
        seed: int,
        early_stopping: Any = None,  # noqa: ANN401
    ) -> None:
        # Before a model is loaded: what is no text should not cost that time.
        texts = texts_of(train.data_set)
        others = [
            None if items is None else (items, texts_of(items.data_set))
            for items in (validation, self._held_out())
        ]
        pretrained = self._start(seed)
        tokenizer, device = pretrained.tokenizer, default_device(self.device)
        model = pretrained.model.to(device)
        with quiet():
            history = self._tuner(seed, self._epochs(len(texts)), early_stopping).fit(
                model,
                tokenizer,
                self._tokenized(train, texts, tokenizer),
                self._forward(model, tokenizer, inference=False),
                *(None if part is None else self._tokenized(*part, tokenizer) for part in others),
            )
        self.model, self._text_tokenizer, self.history_ = model, tokenizer, history

    def _epochs(self, num_texts: int) -> int:
        steps = math.ceil(num_texts / self.batch_size)
        return max(self.num_epochs, math.ceil((self.min_steps or 0) / steps))

    def _tuner(self, seed: int, num_epochs: int, early_stopping: Any) -> FineTuner:  # noqa: ANN401
        patience = self.early_stopping_patience if early_stopping is None else None
        return FineTuner(
            num_epochs=num_epochs,
            lr=self.lr,
            batch_size=self.batch_size,
            weight_decay=self.weight_decay,
            warmup=self.warmup,
            lr_scheduler_type=self.lr_scheduler_type,
            validations_per_epoch=self.validations_per_epoch,
            patience=patience,
            early_stopping=None if early_stopping == "none" else early_stopping,
            group_by_length=self.group_by_length,
            dtype=resolve_precision(self.precision, default_device(self.device)),
            training_arguments=self.training_arguments,
            batch_selector=self.batch_selector,
            recorder=self.recorder,
            show_progress=self.show_progress,
            seed=seed,
        )

    def _load(self, seed: int) -> Pretrained:
        return load_pretrained(self.model_args, self.num_classes, self.multi_label, seed)

    def _infer(self, data_set: Any, embed: bool = False) -> Inference:  # noqa: ANN401
        readout = self._embedding_readout("avg", -1) if embed else read_logits
        (results,) = self._read(data_set, readout, self._sizes(embed), hidden=embed)
        return Inference(*results)

    def _sizes(self, embed: bool = False) -> list[int]:
        return [self.num_classes, embedding_size(self.model)] if embed else [self.num_classes]

    def _embedding_readout(self, method: EmbeddingMethod, layer: HiddenLayer) -> Readout:
        if method not in ("avg", "cls"):
            raise ValueError(f"embedding_method is {method!r}: pass 'avg' or 'cls'.")
        count = num_layers(self.model)
        if layer != "mean" and (isinstance(layer, str) or not -count <= layer < count):
            raise ValueError(
                f"hidden_layer_index is {layer!r}: pass 'mean', or an integer from {-count} to "
                f"{count - 1}, since the encoder has {count} layers."
            )
        first = summary_is_first(self.tokenizer)

        def read(outputs: Any, mask: Tensor) -> tuple[Tensor, ...]:  # noqa: ANN401
            layers = hidden_layers(outputs)
            chosen = layers if layer == "mean" else [layers[layer]]
            vectors = [pooled(hidden, mask, method, first) for hidden in chosen]
            return outputs.logits, torch.stack(vectors).mean(dim=0)

        return read


class TransformerClassificationFactory(TrainedClassifierFactory):
    """Makes a new `TransformerClassification` for every round of small-text's active learner.

    It takes the place of small-text's ``TransformerBasedClassificationFactory`` by its name alone:
    same positions, same arguments.

    Parameters
    ----------
    model_args : TransformerArguments, small_text.TransformerModelArguments or str
        The encoder.
    num_classes : int
        The number of classes.
    classification_kwargs : dict or None, default=None
        Further arguments of `TransformerClassification`. A ``seed`` that is missing, None or a
        generator is drawn once: all classifiers of one factory have the same seed, so that a
        round's model depends on its labels alone.

    Raises
    ------
    TypeError, ValueError
        If `TransformerClassification` does not take the arguments: when the factory is made, not
        in the first round.

    Examples
    --------
    >>> factory = TransformerClassificationFactory("roberta-base", 2, {"num_epochs": 3, "seed": 1})
    >>> factory.new().num_epochs
    3
    """

    def new(self) -> TransformerClassification:
        """Return a new, unfitted classifier.

        Returns
        -------
        TransformerClassification
            The classifier; its model is loaded when it is fitted.
        """
        return self._made(TransformerClassification)


class LoRATransformerClassificationFactory(TransformerClassificationFactory):
    """Makes classifiers that train low-rank adapters in a frozen encoder, and the head.

    A few hundred thousand parameters are trained instead of all of them: a fit takes less memory,
    a saved classifier a few megabytes, and a new text costs what it costs the plain model, since
    adapters are merged into the encoder for every pass over texts.

    Parameters
    ----------
    model_args : TransformerArguments, small_text.TransformerModelArguments or str
        The encoder.
    num_classes : int
        The number of classes.
    classification_kwargs : dict or None, default=None
        Further arguments of `TransformerClassification`. What is not given is as the authors
        trained RoBERTa-base on SST-2: ``peft_config={}`` (rank 8, alpha 16, query and value
        projections, no dropout), ``lr=5e-4``, ``warmup=0.06``, ``weight_decay=0.1``.

    Raises
    ------
    ImportError
        If peft is not installed.
    TypeError, ValueError
        If `TransformerClassification` does not take the arguments.

    Notes
    -----
    The query and value projections are found by the names that architectures give them; GPT-2's lie
    in one matrix with the keys, and Longformer has some of its own for tokens that see all others.
    Beside the adapters the head is trained whole, and so is the pooling layer that it reads.

    References
    ----------
    Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022.

    Examples
    --------
    >>> factory = LoRATransformerClassificationFactory("roberta-base", 2, {"num_epochs": 3})
    >>> clf = factory.new()
    >>> clf.lr, clf.warmup, clf.weight_decay, clf.num_epochs
    (0.0005, 0.06, 0.1, 3)
    """

    def __init__(
        self,
        model_args: Any,  # noqa: ANN401
        num_classes: int,
        classification_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            model_args, num_classes, {**LORA_DEFAULTS, **(classification_kwargs or {})}
        )


LORA_DEFAULTS: Mapping[str, Any] = {
    "peft_config": {},
    "lr": 5e-4,
    "warmup": 0.06,
    "weight_decay": 0.1,
}
"""What `LoRATransformerClassificationFactory` changes of the defaults, as published."""


def _model_arguments(options: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Return the model arguments among options, which a file holds as a mapping."""
    found = options["model_args"]
    return TransformerArguments(**found) if isinstance(found, Mapping) else found


def _base(options: Mapping[str, Any]) -> Pretrained:
    """Load what adapters were added to."""
    args = resolve_model_arguments(_model_arguments(options), None).args
    return load_pretrained(args, options["num_classes"], options["multi_label"], seed=0)


_SAVED_OPTIONS = (
    "num_classes",
    "multi_label",
    "num_epochs",
    "lr",
    "validation_set_size",
    "validations_per_epoch",
    "device",
    "class_weight",
    "batch_size",
    "max_tokens",
    "precision",
    "weight_decay",
    "warmup",
    "lr_scheduler_type",
    "early_stopping_patience",
    "min_steps",
    "group_by_length",
    "training_arguments",
    "show_progress",
    "seed",
)


def _check_options(clf: TransformerClassification) -> None:
    for name in ("num_epochs", "validations_per_epoch"):
        check_positive_integer(name, getattr(clf, name))
    for name in ("early_stopping_patience", "min_steps"):
        if getattr(clf, name) is not None:
            check_positive_integer(name, getattr(clf, name))
    check_fit_options(clf)


def _check_early_stopping(early_stopping: Any) -> None:  # noqa: ANN401
    if early_stopping in (None, "none") or hasattr(early_stopping, "check_early_stop"):
        return
    raise TypeError(
        f"early_stopping is {early_stopping!r}: pass 'none', a small-text EarlyStoppingHandler, or "
        "None for early_stopping_patience."
    )
