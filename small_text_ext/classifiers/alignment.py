"""An encoder pulled into class clusters, and heads that read the clusters off."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, Self, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import logit

from small_text_ext._random import Seed
from small_text_ext.classifiers.alignment_heads import (
    AlignmentHead,
    HeadName,
    KNNHead,
    LabeledVectors,
    LogisticHead,
    PrototypeHead,
    described_head,
    restored_head,
)
from small_text_ext.classifiers.base import (
    ClassWeight,
    Inference,
    Items,
    TrainedClassifierFactory,
    check_positive_integer,
)
from small_text_ext.classifiers.checkpoints import load_arrays, load_checkpoint, save_checkpoint
from small_text_ext.classifiers.encoder import EncoderClassifier, check_fit_options
from small_text_ext.classifiers.frozen import embedding_readout
from small_text_ext.classifiers.host_arguments import resolve_encoder_arguments
from small_text_ext.classifiers.lora import PeftConfig
from small_text_ext.classifiers.pretrained import (
    Pooling,
    Pretrained,
    TransformerArguments,
    embedding_size,
    encoder_class,
    load_encoder,
    own_pooling,
    quiet,
)
from small_text_ext.classifiers.texts import texts_of
from small_text_ext.pool.neighbors import Votes
from small_text_ext.pool.vectors import unit_rows
from small_text_ext.training.alignment import (
    AlignmentLoss,
    AlignmentObjective,
    AlignmentPlan,
    AlignmentTuner,
    BatchesName,
    LossName,
    SecondTask,
    SecondTaskName,
    check_second_task,
)
from small_text_ext.training.contrastive import Pairs
from small_text_ext.training.contrastive_memory import MemoryName
from small_text_ext.training.history import TrainingHistory
from small_text_ext.training.precision import Precision, default_device, resolve_precision
from small_text_ext.training.trainer import TokenizedItems

_DEFAULT_BATCH_SIZE = 32
# A probability of zero has no finite logit.
_SMALLEST = 1e-12


class EmbeddingAlignmentClassification(EncoderClassifier):
    """An encoder trained so that texts of a class have similar embeddings, and a head on these.

    Nothing but the encoder is trained. The training texts are embedded once at the end of a fit and
    kept, so that a prediction costs one pass over the texts it is for; the head, the votes of the
    nearest training texts by default, follows from them. The embeddings are what the method is
    for: distances in them mean something to strategies that look for uncertainty or diversity.

    Fitted again, the classifier goes on from its present parameters: this is what ``reuse_model``
    of small-text's active learner asks for.

    Parameters
    ----------
    model_args : TransformerArguments, small_text's arguments, or str
        The encoder, a sentence-transformers model say: ours, small-text's
        ``TransformerModelArguments`` or ``SetFitModelArguments`` (of which encoder, length and
        batch size count), or a name.
    num_classes : int
        The number of classes; a training set need not hold all of them.
    multi_label : bool, default=False
        Whether an item may have several labels, or none. Texts are then pulled together by the
        Jaccard similarity of their label sets.
    num_epochs : int, default=10
        Each as many batches as the training set would fill; 0 leaves the encoder as it is, which
        makes this the head on a frozen encoder. Class-balanced batches show common classes in part
        and rare ones several times in one epoch; how common they are matters only where there are
        more classes than ``classes_per_batch``. Few texts make few steps: raise it then.
    lr : float, default=5e-5
        The highest learning rate.
    loss : str or callable, default="supervised_contrastive"
        "supervised_contrastive" (with prototypes), "prototypes", "cosine_mse" or
        "cosine_mse_balanced", or a function; see `AlignmentObjective`.
    pairs : {"all", "one"}, default="all"
        Of the cosine losses: every pair of a batch, or one positive and one negative a text.
    temperature : float, default=0.1
        Of "supervised_contrastive". Close to 0, only the closest texts count.
    prototype_weight : float, default=1.0
        What the prototype loss weighs in "supervised_contrastive".
    memory : {"ring", "none", "detached", "mixed", "datapoint"}, default="ring"
        What a batch is compared with besides itself; see `make_memory`. "ring" costs a matrix
        product; "datapoint" encodes a text of each class in every step.
    memory_size : int, default=4096
        Slots of "ring", and no more than there are training texts.
    memory_warm_start : int or None, default=None
        Batches that "ring" does not keep at first; None is one epoch, at most 100, so that a fit of
        one short epoch has no memory.
    batches : {"class_balanced", "random"}, default="class_balanced"
        Some classes and some texts of each, so that every text has a partner, or random texts.
    batch_size : int or None, default=None
        Texts of a batch, at most so many if class-balanced; None is what the model arguments say,
        or 32.
    classes_per_batch : int, default=16
        Of class-balanced batches; fewer where ``batch_size`` has no room for two texts of each.
    samples_per_class : int or None, default=None
        Likewise; None fills up the batch. With a number, ``batch_size`` has no effect.
    second_task : {"push", "pull", "mix"} or None, default=None
        What a second label, which `fit` is then given, does to the embeddings: "push" drives texts
        with the same one apart, "pull" draws them together, "mix" besides draws those with
        different ones together; see `SecondTask`. None has no second label. small-text's learner
        hands the same ``fit_kwargs`` to every fit: replace ``learner.fit_kwargs`` by the second
        labels of all that is labelled before each update.
    task_weights : (float, float), default=(1.0, 1.0)
        Factors of the losses of the first and the second label; (0.0, 1.0) leaves the first out.
    pooling : {"mean", "cls"} or None, default=None
        The mean over a text's tokens, or the token that stands for the text; None is what a
        sentence-transformers model asks for, and "mean" of any other.
    layer_mean : bool, default=False
        Whether the mean over all layers is pooled, not the last one alone.
    head : {"knn", "prototypes", "logistic"} or AlignmentHead, default="knn"
        Votes of the nearest training texts; cosines with the mean of each class; logistic
        regression; or one of `small_text_ext.classifiers.alignment_heads` with options of its own.
    num_neighbors : int, default=5
        Of "knn".
    votes : {"soft", "hard"}, default="soft"
        Of "knn": whether closer texts count more.
    class_weight : {"balanced"} or None, default=None
        "balanced" makes all classes weigh the same in the head. The encoder's batches are balanced
        by ``batches``.
    device : str or None, default=None
        Where to compute: "cpu", "cuda" or "mps"; None takes the best there is.
    max_tokens : int or None, default=None
        Padded tokens of an inference batch; see `TransformerClassification`.
    precision : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        What matrix products of the encoder are computed in; losses are in float32.
    gradient_cache_chunk : int or None, default=None
        Texts whose activations are kept at a time in training: a small number makes batches of any
        size fit into memory, for a second forward pass. None keeps those of the whole batch.
    weight_decay : float, default=0.01
        AdamW's; biases and layer norms are left alone.
    warmup : float, default=0.1
        The share of all steps over which the learning rate rises to ``lr``.
    lr_scheduler_type : str, default="linear"
        How it falls after that; any name that the Hugging Face Trainer knows.
    training_arguments : mapping of str to Any or None, default=None
        Further arguments of ``transformers.TrainingArguments``.
    peft_config : mapping of str to Any, peft.LoraConfig or None, default=None
        Trains low-rank adapters in place of the encoder, ``{}`` for the published ones; see
        `TransformerClassification`. They want a higher ``lr``.
    cache_dir : str or None, default=None
        Where models from the hub are kept; None is Hugging Face's own folder.
    show_progress : bool or None, default=None
        None shows progress bars on a terminal only.
    seed : int, numpy.random.Generator or None, default=None
        Same seed, same data, same machine, same parameters.

    Attributes
    ----------
    model : transformers.PreTrainedModel or None
        The encoder; None before the first fit.
    train_embeddings_ : numpy.ndarray of float32, shape (n, d), or None
        Unit vectors of the last training set, by the encoder as it is now.
    train_labels_ : numpy.ndarray, shape (n,) of int64, or (n, num_classes) of float32, or None
        Its labels.
    pooling_ : {"mean", "cls"} or None
        What is pooled.
    head_ : AlignmentHead or None
        The fitted head.
    history_ : TrainingHistory or None
        Losses and number of steps of the last fit.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range.

    Notes
    -----
    What happens at the edges:

    - A class with one text has no partner to be pulled to. In class-balanced batches the text
      stands twice, under different dropout; in random ones it is pushed from the others alone, but
      by its prototype.
    - Where all training texts have the same labels, nothing is trained, as any loss would draw all
      embeddings to one point; the head predicts these labels. So it is with a single text.
    - Of an empty training set a fit raises an error; an empty set to be predicted gives empty
      results.
    - The same text twice is two texts: a pair like any other, and two votes. If their labels
      differ, their pair has no gradient, and the probabilities are shared.
    - A class that is not in the training set has a small probability, and is not predicted, unless
      the votes of all neighbours vanish beside the smoothing, as with a temperature of .02 of
      neighbours at a right angle.

    A second label is of the training alone: the head, and what is kept, know the first. Its pairs
    are those of a batch, chosen by the first label where batches are class-balanced.

    Sample weights, and ``class_weight``, count in the head, not in the training of the encoder. A
    validation set is checked and not used: as in the reference, the last epoch counts.

    It trains on one device and in one process; several processes are refused.

    Differences from the authors' code: mean pooling and the supervised contrastive loss by default,
    cosines in the vote, probabilities, several labels; what crashes there (one text, duplicates,
    batches without pairs) works. The reference's variants are ``loss="cosine_mse"``,
    ``pooling="cls"``, ``votes="hard"``, ``batches="random"``,
    ``training_arguments={"max_grad_norm": 5.0}``, and: "batch-level" ``pairs="one",
    memory="none"``; "batch + all negatives" ``memory="none"``; "memory" ``pairs="one",
    memory="detached"``; "mixed memory" ``pairs="one", memory="mixed"``; "datapoint memory"
    ``pairs="one", memory="datapoint"``, and with ``pairs="all"`` its "+ all negatives". Its
    "multitask" is ``second_task="pull"``, with flipped labels ``second_task="push"``; there every
    text is in the corpus twice, once for each label, and here both labels count wherever it is.

    References
    ----------
    L. Garbas, "embedding-alignment", 2023. P. Khosla et al., "Supervised Contrastive Learning",
    NeurIPS 2020. X. Wang et al., "Cross-Batch Memory for Embedding Learning", CVPR 2020.

    Examples
    --------
    >>> clf = EmbeddingAlignmentClassification("roberta-base", num_classes=2, head="prototypes")
    >>> clf.num_epochs, clf.model is None
    (10, True)
    """

    model: Any = None
    train_embeddings_: NDArray[np.float32] | None = None
    train_labels_: NDArray[Any] | None = None
    head_: AlignmentHead | None = None
    history_: TrainingHistory | None = None
    pooling_: Pooling | None = None
    _train_weights: NDArray[np.float32] | None = None
    _text_tokenizer: Any = None

    def __init__(
        self,
        model_args: Any,  # noqa: ANN401 - ours, small-text's, or a name
        num_classes: int,
        multi_label: bool = False,
        num_epochs: int = 10,
        lr: float = 5e-5,
        *,
        loss: LossName | AlignmentLoss = "supervised_contrastive",
        pairs: Pairs = "all",
        temperature: float = 0.1,
        prototype_weight: float = 1.0,
        memory: MemoryName = "ring",
        memory_size: int = 4096,
        memory_warm_start: int | None = None,
        batches: BatchesName = "class_balanced",
        batch_size: int | None = None,
        classes_per_batch: int = 16,
        samples_per_class: int | None = None,
        second_task: SecondTaskName | None = None,
        task_weights: Sequence[float] = (1.0, 1.0),
        pooling: Pooling | None = None,
        layer_mean: bool = False,
        head: HeadName | AlignmentHead = "knn",
        num_neighbors: int = 5,
        votes: Votes = "soft",
        class_weight: ClassWeight = None,
        device: str | None = None,
        max_tokens: int | None = None,
        precision: Precision = "auto",
        gradient_cache_chunk: int | None = None,
        weight_decay: float = 0.01,
        warmup: float = 0.1,
        lr_scheduler_type: str = "linear",
        training_arguments: Mapping[str, Any] | None = None,
        peft_config: PeftConfig = None,
        cache_dir: str | None = None,
        show_progress: bool | None = None,
        seed: Seed = None,
    ) -> None:
        super().__init__(
            num_classes, multi_label, class_weight=class_weight, validation_set_size=0.0, seed=seed
        )
        choice = resolve_encoder_arguments(model_args, cache_dir)
        self.model_args = choice.args
        self.num_epochs, self.lr = num_epochs, float(lr)
        self.objective = AlignmentObjective(loss, pairs, temperature, prototype_weight)
        self.memory, self.memory_size = memory, memory_size
        self.memory_warm_start, self.batches = memory_warm_start, batches
        by_default = choice.batch_size or _DEFAULT_BATCH_SIZE
        self.batch_size = by_default if batch_size is None else batch_size
        self.classes_per_batch, self.samples_per_class = classes_per_batch, samples_per_class
        self.second_task, self.task_weights = second_task, tuple(task_weights)
        self.pooling, self.layer_mean = pooling, layer_mean
        self.head = _made_head(head, num_neighbors, votes)
        self.device, self.max_tokens, self.precision = device, max_tokens, precision
        self.gradient_cache_chunk = gradient_cache_chunk
        self.weight_decay, self.warmup = weight_decay, warmup
        self.lr_scheduler_type = lr_scheduler_type
        self.training_arguments = {**choice.training_arguments, **(training_arguments or {})}
        self.peft_config, self.show_progress = peft_config, show_progress
        _check_options(self)

    def fit(
        self,
        train_set: Any,  # noqa: ANN401
        validation_set: Any | None = None,  # noqa: ANN401
        weights: ArrayLike | None = None,
        *,
        second_labels: ArrayLike | None = None,
    ) -> Self:
        """Align the encoder with the labels, and fit the head.

        A second fit starts from the parameters of the first: this is what the ``reuse_model`` of
        small-text's active learner asks for.

        Parameters
        ----------
        train_set : small_text.data.Dataset
            A ``TextDataset``, `TextPairDataset` or ``TransformersDataset``; not all classes need to
            occur.
        validation_set : small_text.data.Dataset or None, default=None
            Is checked, and not used.
        weights : array-like of float, shape (n,), or None, default=None
            Positive sample weights in the order of ``train_set``, for the head alone; only their
            proportions count.
        second_labels : array-like of int, shape (n,), or None, default=None
            A second label of each text, in the order of ``train_set``, for ``second_task``: ids of
            any classes, -1 where it is unknown.

        Returns
        -------
        Self
            The classifier itself. A fit that fails leaves it as it was.

        Raises
        ------
        ValueError
            If a dataset is empty, unlabelled, or has labels that do not fit the classifier, if a
            weight is missing, not finite or not positive, if ``pooling`` is None for an encoder
            that pools in another way, or if there are second labels without a ``second_task``, or
            the other way round.
        TypeError
            If a dataset holds no texts.
        FloatingPointError
            If the loss is no longer finite.
        MemoryError
            If a batch does not fit into memory.
        RuntimeError
            If there are several processes.
        """
        train, validation, seed = self._prepared(train_set, validation_set, weights)
        self._train(train, validation, seed, self._second(second_labels, len(train.rows)))
        return self

    def save(self, folder: str | Path) -> None:
        """Write the fitted classifier to a folder: arrays in safetensors, the rest in JSON.

        Encoder and tokenizer lie there as Hugging Face's ``from_pretrained`` reads them. The
        history is not saved; pickling keeps it.

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
            If an argument of the classifier cannot be written as JSON: a loss or a head of your
            own.
        """
        self._check_fitted()
        options = {name: getattr(self, name) for name in _SAVED_OPTIONS}
        options |= {
            field.name: getattr(self.objective, field.name) for field in fields(self.objective)
        }
        options |= {"head": described_head(self.head), "pooling": self.pooling_}
        options["model_args"] = asdict(self.model_args)
        arrays = {name: getattr(self, name) for name in _SAVED_ARRAYS}
        pretrained = Pretrained(self.model, self._text_tokenizer)
        save_checkpoint(folder, pretrained, options, kind=type(self).__name__, arrays=arrays)

    @classmethod
    def load(cls, folder: str | Path, **options: Any) -> Self:  # noqa: ANN401
        """Read a classifier that `save` has written.

        Parameters
        ----------
        folder : str or pathlib.Path
            The folder.
        **options : Any
            Arguments of the classifier that are to differ from the saved ones, ``device`` say, or
            ``head``, which is fitted anew to the saved embeddings.

        Returns
        -------
        EmbeddingAlignmentClassification
            Fitted; another `fit` goes on from its parameters.

        Raises
        ------
        FileNotFoundError
            If no classifier was saved there.
        ValueError
            If it is of another class, or was saved by a version that this one cannot read, or if
            ``options`` change what the saved embeddings depend on.
        """
        for name in _FIXED & set(options):
            raise ValueError(f"{name} belongs to the saved embeddings: fit a classifier with it.")
        pretrained, saved = load_checkpoint(
            folder, {}, _base, kind=cls.__name__, choose=encoder_class
        )
        model_args = TransformerArguments(**saved.pop("model_args"))
        saved["head"] = restored_head(saved["head"], options)
        clf = cls(**{"model_args": model_args, **saved, **options})
        for name, values in load_arrays(folder).items():
            setattr(clf, name, values)
        pretrained.model.config.output_hidden_states = clf.layer_mean
        clf.model, clf._text_tokenizer = pretrained.model, pretrained.tokenizer
        clf.pooling_ = saved["pooling"]
        clf.head_ = clf._fitted_head(clf.train_embeddings_, clf.train_labels_, clf._train_weights)
        return clf

    def _load(self, seed: int) -> Pretrained:
        pretrained = load_encoder(self.model_args, seed)
        pretrained.model.config.output_hidden_states = self.layer_mean
        return pretrained

    def _second(self, labels: ArrayLike | None, num_texts: int) -> SecondTask | None:
        if (labels is None) != (self.second_task is None):
            given = "given" if labels is not None else "missing"
            raise ValueError(
                f"second_labels are {given}, and second_task is {self.second_task!r}: pass both or "
                "neither."
            )
        if labels is None or self.second_task is None:
            return None
        found = np.asarray(labels)
        if found.shape != (num_texts,) or not np.issubdtype(found.dtype, np.integer):
            raise ValueError(
                f"second_labels are {found.dtype} of the shape {found.shape} for {num_texts} "
                "texts: pass one integer for each."
            )
        first, second = self.task_weights
        return SecondTask(
            torch.from_numpy(found.astype(np.int64)), self.second_task, (first, second)
        )

    def _train(
        self,
        train: Items,
        validation: Items | None,
        seed: int,
        second: SecondTask | None = None,
    ) -> None:
        # Before a model is loaded: what is no text should not cost that time.
        texts = texts_of(train.data_set)
        pooling = self.pooling_ or self.pooling or own_pooling(self.model_args)
        pretrained = self._start(seed)
        tokenizer, device = pretrained.tokenizer, default_device(self.device)
        model = pretrained.model.to(device)
        readout = embedding_readout(tokenizer.tokenizer, pooling, self.layer_mean)
        items = self._tokenized(train, texts, tokenizer)
        with quiet():
            tuner = replace(self._tuner(items, seed), second=second)
            history = tuner.fit(model, tokenizer, items, readout, device)
            (embedded,) = self._forward(model, tokenizer)(items.features, readout)
        vectors = unit_rows(embedded.numpy(), "embeddings")
        self.head_ = self._fitted_head(vectors, train.labels, train.weights)
        self.model, self._text_tokenizer, self.history_ = model, tokenizer, history
        self.train_embeddings_, self.train_labels_ = vectors, train.labels
        self._train_weights, self.pooling_ = train.weights, pooling

    def _fitted_head(self, vectors: Any, labels: Any, weights: Any) -> AlignmentHead:  # noqa: ANN401
        head = copy.deepcopy(self.head)
        head.fit(LabeledVectors(vectors, labels, weights, self.num_classes))
        return head

    def _plan(self) -> AlignmentPlan:
        return AlignmentPlan(
            **{field.name: getattr(self, field.name) for field in fields(AlignmentPlan)}
        )

    def _tuner(self, items: TokenizedItems, seed: int) -> AlignmentTuner:
        batches, memory = self._plan().made(items.labels, self.num_classes, seed)
        return AlignmentTuner(
            num_epochs=self.num_epochs,
            lr=self.lr,
            objective=self.objective,
            batches=batches,
            memory=memory,
            weight_decay=self.weight_decay,
            warmup=self.warmup,
            lr_scheduler_type=self.lr_scheduler_type,
            chunk_size=self.gradient_cache_chunk,
            dtype=resolve_precision(self.precision, default_device(self.device)),
            training_arguments=self.training_arguments,
            show_progress=self.show_progress,
            seed=seed,
        )

    def _infer(self, data_set: Any, embed: bool = False) -> Inference:  # noqa: ANN401
        assert self.head_ is not None
        assert self.pooling_ is not None
        readout = embedding_readout(self.tokenizer, self.pooling_, self.layer_mean)
        ((embedded,),) = self._read(data_set, readout, [embedding_size(self.model)])
        vectors = unit_rows(embedded, "embeddings")
        proba = np.clip(self.head_.proba(vectors), _SMALLEST, 1 - _SMALLEST)
        logits = logit(proba) if self.multi_label else np.log(proba)
        return Inference(logits.astype(np.float32), vectors)


class EmbeddingAlignmentClassificationFactory(TrainedClassifierFactory):
    """Makes a new `EmbeddingAlignmentClassification` for every round of the active learner.

    Parameters
    ----------
    model_args : TransformerArguments, small_text's arguments, or str
        The encoder.
    num_classes : int
        The number of classes.
    classification_kwargs : dict or None, default=None
        Further arguments of `EmbeddingAlignmentClassification`. A ``seed`` that is missing, None or
        a generator is drawn once: all classifiers of one factory have the same seed, so that a
        round's model depends on its labels alone.

    Raises
    ------
    TypeError, ValueError
        If `EmbeddingAlignmentClassification` does not take the arguments: when the factory is made,
        not in the first round.

    Examples
    --------
    >>> options = {"num_epochs": 3, "seed": 1}
    >>> factory = EmbeddingAlignmentClassificationFactory("roberta-base", 2, options)
    >>> factory.new().num_epochs
    3
    """

    def new(self) -> EmbeddingAlignmentClassification:
        """Return a new, unfitted classifier.

        Returns
        -------
        EmbeddingAlignmentClassification
            The classifier; its model is loaded when it is fitted.
        """
        return self._made(EmbeddingAlignmentClassification)


def _base(options: Mapping[str, Any]) -> Pretrained:
    """Load what adapters were added to."""
    return load_encoder(TransformerArguments(**options["model_args"]), seed=0)


_SAVED_OPTIONS = (
    "num_classes",
    "multi_label",
    "num_epochs",
    "lr",
    "memory",
    "memory_size",
    "memory_warm_start",
    "batches",
    "batch_size",
    "classes_per_batch",
    "samples_per_class",
    "second_task",
    "task_weights",
    "layer_mean",
    "class_weight",
    "device",
    "max_tokens",
    "precision",
    "gradient_cache_chunk",
    "weight_decay",
    "warmup",
    "lr_scheduler_type",
    "training_arguments",
    "show_progress",
    "seed",
)
_SAVED_ARRAYS = ("train_embeddings_", "train_labels_", "_train_weights")
_FIXED = frozenset({"model_args", "num_classes", "multi_label", "pooling", "layer_mean"})


def _made_head(head: Any, num_neighbors: int, votes: Votes) -> AlignmentHead:  # noqa: ANN401
    check_positive_integer("num_neighbors", num_neighbors)
    if votes not in get_args(Votes):
        raise ValueError(f"votes is {votes!r}: pass one of {get_args(Votes)}.")
    if head == "knn":
        return KNNHead(num_neighbors, votes)
    if head == "prototypes":
        return PrototypeHead()
    if head == "logistic":
        return LogisticHead()
    if not (hasattr(head, "fit") and hasattr(head, "proba")):
        raise ValueError(f"head is {head!r}: pass one of {get_args(HeadName)}, or an object.")
    made: AlignmentHead = head
    return made


def _check_options(clf: EmbeddingAlignmentClassification) -> None:
    if clf.num_epochs != 0:
        check_positive_integer("num_epochs", clf.num_epochs)
    if clf.gradient_cache_chunk is not None:
        check_positive_integer("gradient_cache_chunk", clf.gradient_cache_chunk)
    if clf.pooling not in (None, *get_args(Pooling)):
        raise ValueError(f"pooling is {clf.pooling!r}: pass one of {get_args(Pooling)}, or None.")
    if clf.second_task is not None:
        check_second_task(clf.second_task, clf.task_weights)
    clf._plan()
    check_fit_options(clf)
