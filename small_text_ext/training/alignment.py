"""Class-driven embedding alignment: one fit that pulls the embeddings of a class together."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from tqdm.auto import tqdm
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from small_text_ext._random import preserved_global_state
from small_text_ext.training.contrastive import (
    Pairs,
    cosine_mse_loss,
    prototype_loss,
    supervised_contrastive_loss,
)
from small_text_ext.training.contrastive_batches import (
    ClassBalancedBatches,
    RandomBatches,
    check_at_least_one,
    class_members,
)
from small_text_ext.training.contrastive_memory import (
    Memory,
    MemoryName,
    References,
    make_memory,
)
from small_text_ext.training.fine_tuner import release, trainer_arguments
from small_text_ext.training.gradient_cache import encode_in_chunks
from small_text_ext.training.history import TrainingHistory
from small_text_ext.training.inference import Readout
from small_text_ext.training.memory import is_out_of_memory
from small_text_ext.training.tokens import TextTokenizer
from small_text_ext.training.trainer import TokenizedItems

SecondTaskName = Literal["push", "pull", "mix"]
LossName = Literal["supervised_contrastive", "prototypes", "cosine_mse", "cosine_mse_balanced"]
BatchesName = Literal["class_balanced", "random"]
Batches = ClassBalancedBatches | RandomBatches
_ROWS = "rows"
_LONGEST_WARM_START = 100


class AlignmentLoss(Protocol):
    """A loss of the user's: any function of `small_text_ext.training.contrastive` is one."""

    def __call__(
        self, embeddings: Tensor, labels: Tensor, *, memory: References | None = None
    ) -> Tensor:
        """Return the loss of a batch, and of what a memory holds."""


@dataclass(frozen=True)
class AlignmentObjective:
    """Which loss pulls classes together, by its name.

    Parameters
    ----------
    loss : str or callable, default="supervised_contrastive"
        "supervised_contrastive" adds `prototype_loss` to `supervised_contrastive_loss`, and
        "prototypes" is the former alone; "cosine_mse" is the sum over pairs of the reference, and
        "cosine_mse_balanced" the mean over positive plus that over negative pairs. A function
        ``loss(embeddings, labels, memory=...)`` is taken as it is: options of
        `small_text_ext.training.contrastive` are bound by ``functools.partial``.
    pairs : {"all", "one"}, default="all"
        Of the cosine losses: every pair, or for each text one of its class and one of another.
    temperature : float, default=0.1
        Of "supervised_contrastive".
    prototype_weight : float, default=1.0
        What the prototype loss is multiplied with in "supervised_contrastive"; 0 leaves it out.

    Raises
    ------
    ValueError
        If an option is unknown or out of range.

    Examples
    --------
    >>> objective = AlignmentObjective("cosine_mse")
    >>> objective(torch.eye(2), torch.tensor([0, 0]), None, torch.Generator())
    tensor(2.)
    """

    loss: LossName | AlignmentLoss = "supervised_contrastive"
    pairs: Pairs = "all"
    temperature: float = 0.1
    prototype_weight: float = 1.0

    def __post_init__(self) -> None:
        if not callable(self.loss) and self.loss not in get_args(LossName):
            raise ValueError(
                f"loss is {self.loss!r}: pass one of {get_args(LossName)}, or a function."
            )
        if self.pairs not in get_args(Pairs):
            raise ValueError(f"pairs is {self.pairs!r}: pass 'all' or 'one'.")
        if self.pairs == "one" and self.loss not in ("cosine_mse", "cosine_mse_balanced"):
            raise ValueError(
                f"pairs is 'one', and loss {self.loss!r}: single pairs are of the losses "
                "'cosine_mse' and 'cosine_mse_balanced' alone."
            )
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature is {self.temperature}: pass a number above 0.")
        if not 0 <= self.prototype_weight < math.inf:
            raise ValueError(
                f"prototype_weight is {self.prototype_weight}: pass a number of at least 0."
            )

    def __call__(
        self,
        embeddings: Tensor,
        labels: Tensor,
        memory: References | None,
        generator: torch.Generator,
    ) -> Tensor:
        """Return the loss of a batch.

        Parameters
        ----------
        embeddings : torch.Tensor, shape (n, d)
            The batch.
        labels : torch.Tensor, shape (n,) of int, or (n, num_classes) of zeros and ones
            Its labels.
        memory : References or None
            More partners of each text.
        generator : torch.Generator
            Where single pairs are drawn from.

        Returns
        -------
        torch.Tensor, shape ()
            The loss.
        """
        if callable(self.loss):
            return self.loss(embeddings, labels, memory=memory)
        if self.loss in ("cosine_mse", "cosine_mse_balanced"):
            reduction: Literal["sum", "balanced"] = (
                "sum" if self.loss == "cosine_mse" else "balanced"
            )
            return cosine_mse_loss(
                embeddings, labels, self.pairs, reduction, memory, generator=generator
            )
        if self.loss == "prototypes":
            return prototype_loss(embeddings, labels, memory=memory)
        total = supervised_contrastive_loss(embeddings, labels, self.temperature, memory=memory)
        if self.prototype_weight == 0:
            return total
        return total + self.prototype_weight * prototype_loss(embeddings, labels, memory=memory)


@dataclass(frozen=True, eq=False)
class SecondTask:
    """A second label of each training text, and what it does to the embeddings.

    For a space in which, say, political bias shows, and the publisher that it correlates with does
    not. Texts of a batch are compared with each other by it; a memory is of the first label alone.
    A text that stands in a batch twice, for the sake of its first label, counts once here: it is
    not driven apart from itself.

    Parameters
    ----------
    labels : torch.Tensor, shape (n,) of int
        The second label of each training text; -1 where it is unknown.
    task : {"push", "pull", "mix"}, default="push"
        "push" drives texts of the same label apart (flipped labels); "pull" draws them together,
        and other ones apart (a second task like the first); "mix" drives those of the same label
        apart and draws those of different labels together (flipped and inverse).
    weights : (float, float), default=(1.0, 1.0)
        Factors of the first and the second loss; with a factor of 0 a loss is left out.

    Raises
    ------
    ValueError
        If the task is unknown, or weights are not two numbers of at least 0, one of them above.

    Examples
    --------
    >>> task = SecondTask(torch.tensor([7, 7, 8]), weights=(1.0, 0.5))
    >>> embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    >>> first = torch.tensor(3.0)
    >>> task.joined(first, embeddings, [0, 1], AlignmentObjective("cosine_mse"), torch.Generator())
    tensor(4.)
    """

    labels: Tensor
    task: SecondTaskName = "push"
    weights: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        check_second_task(self.task, self.weights)

    def joined(
        self,
        first: Tensor,
        embeddings: Tensor,
        rows: Sequence[int],
        objective: AlignmentObjective,
        generator: torch.Generator,
    ) -> Tensor:
        """Add the second loss of a batch to the first.

        Parameters
        ----------
        first : torch.Tensor, shape ()
            The loss of the first label.
        embeddings : torch.Tensor, shape (n, d)
            The batch.
        rows : sequence of int, length n
            Which training texts they are.
        objective : AlignmentObjective
            The first loss: its choice of pairs is the second one's, and where it is a sum over
            pairs ("cosine_mse"), the second one is, and otherwise a mean.
        generator : torch.Generator
            Where single pairs are drawn from.

        Returns
        -------
        torch.Tensor, shape ()
            The weighted sum.
        """
        own, other = self.weights
        total = own * first if own else first.new_zeros(())
        if not other:
            return total
        second = cosine_mse_loss(
            embeddings,
            self._labels_of(rows).to(embeddings.device),
            objective.pairs,
            "sum" if objective.loss == "cosine_mse" else "mean",
            flip=self.task != "pull",
            inverse=self.task == "mix",
            generator=generator,
        )
        return total + other * second

    def _labels_of(self, rows: Sequence[int]) -> Tensor:
        """Return the labels of a batch, unknown where a text stands in it again."""
        first: dict[int, int] = {}
        again = [first.setdefault(row, place) != place for place, row in enumerate(rows)]
        return self.labels[list(rows)].masked_fill(torch.tensor(again, dtype=torch.bool), -1)


def check_second_task(task: str, weights: Sequence[float]) -> None:
    """Refuse what `SecondTask` cannot be made of.

    Parameters
    ----------
    task : str
        The name of the task.
    weights : sequence of float
        Factors of the first and the second loss.

    Raises
    ------
    ValueError
        If the task is unknown, or weights are not two numbers of at least 0, one of them above.
    """
    if task not in get_args(SecondTaskName):
        raise ValueError(
            f"second_task is {task!r}: pass one of {get_args(SecondTaskName)}, or None."
        )
    if len(weights) != 2 or not all(0 <= weight < math.inf for weight in weights):
        raise ValueError(f"task_weights are {weights!r}: pass two numbers of at least 0.")
    if not any(weights):
        raise ValueError(f"task_weights are {weights!r}: pass a number above 0 for one of them.")


def alignment_batches(
    labels: Tensor,
    kind: BatchesName = "class_balanced",
    batch_size: int = 32,
    classes_per_batch: int = 16,
    samples_per_class: int | None = None,
    seed: int = 0,
) -> Batches:
    """Return the batches of a fit.

    Parameters
    ----------
    labels : torch.Tensor, shape (n,) of int64, or (n, num_classes) of zeros and ones
        Labels of the training set.
    kind : {"class_balanced", "random"}, default="class_balanced"
        `ClassBalancedBatches`, or `RandomBatches` as the reference has them.
    batch_size : int, default=32
        About so many texts a batch. Of "class_balanced" no more than that, but at least two texts
        of two classes; of no effect with ``samples_per_class``.
    classes_per_batch : int, default=16
        Of "class_balanced": classes of a batch, where there are as many; fewer where
        ``batch_size`` has no room for two texts of each.
    samples_per_class : int or None, default=None
        Of "class_balanced": texts of each; None fills up ``batch_size``.
    seed : int, default=0
        Same seed, same batches.

    Returns
    -------
    ClassBalancedBatches or RandomBatches
        A batch sampler.

    Raises
    ------
    ValueError
        If the kind is unknown, or a number is below 1.

    Examples
    --------
    >>> sorted(next(iter(alignment_batches(torch.tensor([0, 0, 1, 1]), batch_size=4))))
    [0, 1, 2, 3]
    """
    if kind not in get_args(BatchesName):
        raise ValueError(f"batches is {kind!r}: pass one of {get_args(BatchesName)}.")
    if kind == "random":
        return RandomBatches(len(labels), batch_size, seed)
    if samples_per_class is None:
        check_at_least_one(batch_size=batch_size, classes_per_batch=classes_per_batch)
        classes_per_batch = min(classes_per_batch, max(2, batch_size // 2))
        drawn = max(1, min(classes_per_batch, len(class_members(labels))))
        samples_per_class = max(2, batch_size // drawn)
    return ClassBalancedBatches(labels, classes_per_batch, samples_per_class, seed=seed)


@dataclass(frozen=True)
class AlignmentPlan:
    """What a text is compared with, to be worked out when the training set is known.

    Parameters
    ----------
    memory : {"ring", "none", "detached", "mixed", "datapoint"}, default="ring"
        What a batch is compared with besides itself; see `make_memory`.
    memory_size : int, default=4096
        Slots of "ring", of which no more are used than there are training texts; all classes have
        as many. Where they are of one size, no text is there twice; else those of a rare class are,
        older embeddings beside newer ones, while a common one has not all of its texts there.
    memory_warm_start : int or None, default=None
        Batches that "ring" does not keep at first; None is one epoch, at most 100.
    batches : {"class_balanced", "random"}, default="class_balanced"
        As in `alignment_batches`.
    batch_size : int, default=32
        Likewise.
    classes_per_batch : int, default=16
        Likewise.
    samples_per_class : int or None, default=None
        Likewise.

    Raises
    ------
    TypeError
        If a number is no integer.
    ValueError
        If an option is unknown or out of range.

    Examples
    --------
    >>> plan = AlignmentPlan(batch_size=4)
    >>> batches, memory = plan.made(torch.tensor([0, 0, 1, 1]), num_classes=2, seed=0)
    >>> len(batches), memory.slots_per_class
    (1, 2)
    """

    memory: MemoryName = "ring"
    memory_size: int = 4096
    memory_warm_start: int | None = None
    batches: BatchesName = "class_balanced"
    batch_size: int = 32
    classes_per_batch: int = 16
    samples_per_class: int | None = None

    def __post_init__(self) -> None:
        for name, choices in (("memory", MemoryName), ("batches", BatchesName)):
            if getattr(self, name) not in get_args(choices):
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}: pass one of {get_args(choices)}."
                )
        numbers = ["memory_size", "batch_size", "classes_per_batch"]
        numbers += ["samples_per_class"] if self.samples_per_class is not None else []
        check_at_least_one(**{name: getattr(self, name) for name in numbers})
        warm_start = self.memory_warm_start
        if warm_start is not None and (not isinstance(warm_start, int) or warm_start < 0):
            raise ValueError(
                f"memory_warm_start is {warm_start!r}: pass a number of batches, 0 or more, or "
                "None for one epoch."
            )

    def made(self, labels: Tensor, num_classes: int, seed: int) -> tuple[Batches, Memory]:
        """Return the batches and the empty memory of a fit.

        Parameters
        ----------
        labels : torch.Tensor, shape (n,) of int64, or (n, num_classes) of zeros and ones
            Labels of the training set.
        num_classes : int
            Classes, whether they occur or not.
        seed : int
            Same seed, same batches.

        Returns
        -------
        batches : ClassBalancedBatches or RandomBatches
            A batch sampler.
        memory : Memory
            An empty memory.
        """
        batches = alignment_batches(
            labels,
            self.batches,
            self.batch_size,
            self.classes_per_batch,
            self.samples_per_class,
            seed,
        )
        warm_start = self.memory_warm_start
        if warm_start is None:
            warm_start = min(len(batches), _LONGEST_WARM_START)
        size = min(self.memory_size, len(labels))
        return batches, make_memory(self.memory, num_classes, size, warm_start=warm_start)


class _OfEpoch(Sampler[list[int]]):
    """Makes the batches of the epoch that the trainer is in."""

    def __init__(self, batches: Batches, epoch: Callable[[], int]) -> None:
        self.batches, self.epoch = batches, epoch

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        self.batches.set_epoch(self.epoch())
        yield from self.batches


class AlignmentTrainer(Trainer):
    """The Hugging Face Trainer with a loss on the embeddings of a batch.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        An encoder.
    args : transformers.TrainingArguments
        What the Trainer understands; batches, shuffling and the loss are not its own.
    items : TokenizedItems
        What to train on; its weights are not looked at.
    tokenizer : TextTokenizer
        Pads batches.
    readout : callable
        Takes what the model returned, and the attention mask; the first tensor that it returns are
        the embeddings.
    objective : AlignmentObjective
        The loss.
    batches : ClassBalancedBatches or RandomBatches
        Which texts are in a batch.
    memory : Memory
        What a batch is compared with besides itself.
    chunk_size : int or None, default=None
        Texts whose activations are kept at a time; None keeps those of the whole batch.
    dtype : torch.dtype or None, default=None
        The lower precision that batches are padded for.
    second : SecondTask or None, default=None
        A second label of each text, and its loss.
    callbacks : list of transformers.TrainerCallback or None, default=None
        Further callbacks.

    Attributes
    ----------
    losses : list of torch.Tensor
        The losses of the batches since it was last emptied.

    Notes
    -----
    It trains on one process and one device: a batch is compared as a whole. Under gradient
    accumulation the loss is the mean of those of its batches, each compared with itself and the
    memory alone: the exact gradient of a larger batch is had by ``chunk_size``.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401
        args: TrainingArguments,
        items: TokenizedItems,
        tokenizer: TextTokenizer,
        *,
        readout: Readout,
        objective: AlignmentObjective,
        batches: Batches,
        memory: Memory,
        chunk_size: int | None = None,
        dtype: torch.dtype | None = None,
        second: SecondTask | None = None,
        callbacks: list[TrainerCallback] | None = None,
    ) -> None:
        self.items, self.text_tokenizer, self.readout = items, tokenizer, readout
        self.objective: AlignmentObjective = objective
        self.batches, self.memory = batches, memory
        self.chunk_size, self.dtype, self.second = chunk_size, dtype, second
        self.losses: list[Tensor] = []
        self.generator = torch.Generator().manual_seed(args.seed)
        super().__init__(model=model, args=args, train_dataset=items, callbacks=callbacks)
        # A progress bar is the caller's; without one the Trainer prints a dict at every log.
        self.remove_callback(PrinterCallback)
        # The Trainer must not divide the loss by counts of tokens.
        self.model_accepts_loss_kwargs = False

    def get_train_dataloader(self) -> DataLoader[int]:
        """Return the batches, as rows."""
        sampler = _OfEpoch(self.batches, lambda: int(self.state.epoch or 0))
        return DataLoader(self.items, batch_sampler=sampler, collate_fn=_as_rows)

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:  # noqa: ANN401
        """Add the gradient of a batch, or say what to do where memory runs out."""
        try:
            return super().training_step(*args, **kwargs)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise MemoryError(
                f"A batch does not fit into the memory of {self.args.device}: pass a smaller "
                "gradient_cache_chunk, which costs time and draws other dropout, or batch_size."
            ) from error

    def compute_loss(
        self,
        model: Any,  # noqa: ANN401
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Return the loss of a batch, and remember the batch."""
        rows: list[int] = inputs[_ROWS].tolist()
        labels = self.items.labels[rows].to(self.args.device)
        embeddings = self._embedded(model, rows)
        references = self.memory.references(lambda stored: self._embedded(model, stored))
        loss = self.objective(embeddings, labels, references, self.generator)
        if self.second is not None:
            loss = self.second.joined(loss, embeddings, rows, self.objective, self.generator)
        self.memory.update(embeddings.detach(), labels, rows)
        self.losses.append(loss.detach())
        return (loss, embeddings) if return_outputs else loss

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Return 0: a batch is rows."""
        return 0

    def _embedded(self, model: Any, rows: Sequence[int]) -> Tensor:  # noqa: ANN401
        size = self.chunk_size or len(rows)
        chunks = [list(rows[start : start + size]) for start in range(0, len(rows), size)]
        return encode_in_chunks(lambda chunk: self._encoded(model, chunk), chunks, self.args.device)

    def _encoded(self, model: Any, rows: list[int]) -> Tensor:  # noqa: ANN401
        padded = self.text_tokenizer.pad([self.items.features[row] for row in rows], self.dtype)
        inputs = {name: tensor.to(self.args.device) for name, tensor in padded.items()}
        return self.readout(model(**inputs), inputs["attention_mask"])[0].float()


def _as_rows(rows: list[int]) -> dict[str, Tensor]:
    return {_ROWS: torch.tensor(rows)}


@dataclass(frozen=True)
class AlignmentTuner:
    """Aligns an encoder by the Hugging Face Trainer, of which nothing is left but the model.

    Parameters
    ----------
    num_epochs : int
        Each as many batches as the training set would fill; 0 leaves the encoder as it is. Of
        class-balanced batches one epoch has common classes in part, and rare ones several times.
    lr : float
        The highest learning rate.
    objective : AlignmentObjective
        The loss.
    batches : ClassBalancedBatches or RandomBatches
        Which texts are in a batch.
    memory : Memory
        What a batch is compared with besides itself; it is filled in the course of the fit.
    weight_decay : float, default=0.01
        AdamW's; biases and layer norms are left alone.
    warmup : float, default=0.1
        The share of all steps over which the learning rate rises to ``lr``.
    lr_scheduler_type : str, default="linear"
        How it falls after that; any name that the Trainer knows.
    chunk_size : int or None, default=None
        Texts whose activations are kept at a time; None keeps those of the whole batch.
    dtype : torch.dtype or None, default=None
        Lower precision to compute in; weights stay in float32.
    training_arguments : mapping of str to Any, default={}
        Further arguments of ``transformers.TrainingArguments``.
    second : SecondTask or None, default=None
        A second label of each text, and its loss.
    max_steps : int or None, default=None
        Gradient steps in place of ``num_epochs``; None goes by the epochs.
    show_progress : bool or None, default=None
        None shows a bar on a terminal only.
    seed : int, default=0
        Seeds dropout and single pairs.
    """

    num_epochs: int
    lr: float
    objective: AlignmentObjective
    batches: Batches
    memory: Memory
    weight_decay: float = 0.01
    warmup: float = 0.1
    lr_scheduler_type: str = "linear"
    chunk_size: int | None = None
    dtype: torch.dtype | None = None
    training_arguments: Mapping[str, Any] = field(default_factory=dict)
    second: SecondTask | None = None
    max_steps: int | None = None
    show_progress: bool | None = None
    seed: int = 0

    def fit(
        self,
        model: Any,  # noqa: ANN401
        tokenizer: TextTokenizer,
        items: TokenizedItems,
        readout: Readout,
        device: torch.device,
    ) -> TrainingHistory:
        """Train ``model`` in place, and leave it in evaluation mode.

        Where all texts have the same labels, and there is no second one, there is nothing to tell
        apart, and nothing is trained: a loss would only draw all embeddings to one point. The
        states of the global random generators stay as they were, and no file is left.

        Parameters
        ----------
        model : transformers.PreTrainedModel
            An encoder, on ``device``.
        tokenizer : TextTokenizer
            Pads batches.
        items : TokenizedItems
            The training items.
        readout : callable
            What to take as the embeddings of a batch.
        device : torch.device
            Where to compute.

        Returns
        -------
        TrainingHistory
            Losses and the number of steps.

        Raises
        ------
        FloatingPointError
            If the loss is no longer finite.
        MemoryError
            If a batch does not fit into memory.
        RuntimeError
            If there are several processes.
        """
        history = TrainingHistory()
        if self.num_steps == 0 or (self.second is None and _all_alike(items.labels)):
            return history
        _check_single_process()
        with (
            preserved_global_state(self.seed, torch=True),
            tempfile.TemporaryDirectory(prefix="small-text-ext-") as folder,
        ):
            trainer = AlignmentTrainer(
                model,
                self._arguments(folder, device),
                items,
                tokenizer,
                readout=readout,
                objective=self.objective,
                batches=self.batches,
                memory=self.memory,
                chunk_size=self.chunk_size,
                dtype=self.dtype,
                second=self.second,
            )
            observer = _Observer(self, history, trainer.losses)
            trainer.add_callback(observer)
            try:
                trainer.train()
            finally:
                observer.bar.close()
                release(trainer, model)
        return history

    @property
    def num_steps(self) -> int:
        """Gradient steps of a fit."""
        if self.max_steps is not None:
            return self.max_steps
        accumulated = int(self.training_arguments.get("gradient_accumulation_steps", 1))
        return math.ceil(len(self.batches) / accumulated) * self.num_epochs

    def _arguments(self, folder: str, device: torch.device) -> TrainingArguments:
        # One of several GPUs alone: a batch must not be spread over them.
        alone = torch.device("cuda", device.index or 0) if device.type == "cuda" else device
        return trainer_arguments(
            folder,
            alone,
            self.dtype,
            self.training_arguments,
            num_train_epochs=self.num_epochs,
            max_steps=-1 if self.max_steps is None else self.max_steps,
            learning_rate=self.lr,
            weight_decay=self.weight_decay,
            warmup_steps=round(self.warmup * self.num_steps),
            lr_scheduler_type=self.lr_scheduler_type,
            seed=self.seed,
        )


def _all_alike(labels: Tensor) -> bool:
    return bool((labels == labels[:1]).all())


def _check_single_process() -> None:
    """Refuse where accelerate would share the gradients of batches that are all the same."""
    number = int(os.environ.get("WORLD_SIZE", "1"))
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        number = torch.distributed.get_world_size()
    if number > 1:
        raise RuntimeError(
            f"There are {number} processes, and alignment trains in one, since a batch is compared "
            "as a whole: start it without torchrun or accelerate launch, and pass "
            "gradient_cache_chunk where a batch does not fit into the memory of one device."
        )


class _Observer(TrainerCallback):
    """Shows the steps of a fit, and keeps the mean loss of each epoch."""

    def __init__(
        self, tuner: AlignmentTuner, history: TrainingHistory, losses: list[Tensor]
    ) -> None:
        self.tuner, self.history, self.losses = tuner, history, losses
        disable = None if tuner.show_progress is None else not tuner.show_progress
        self.bar = tqdm(total=tuner.num_steps, desc="align", unit="step", disable=disable)

    def on_step_end(
        self,
        args: Any,  # noqa: ANN401
        state: Any,  # noqa: ANN401
        control: Any,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Count the step."""
        self.bar.update()
        self.history.num_steps = state.global_step

    def on_epoch_end(
        self,
        args: Any,  # noqa: ANN401
        state: Any,  # noqa: ANN401
        control: Any,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Keep the mean loss."""
        epoch = self.history.best_epoch = len(self.history.train_losses)
        loss = float(torch.stack(self.losses).mean())
        self.losses.clear()
        self.history.train_losses.append(loss)
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"The training loss of epoch {epoch} is {loss}: pass a smaller lr than "
                f"{self.tuner.lr}, or precision='float32'."
            )
