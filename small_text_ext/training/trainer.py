"""The Hugging Face Trainer with the two seams of every fit.

Mixed precision, gradient accumulation, several GPUs, compilation, LoRA and logging come with the
Trainer; what this module adds is which items of a candidate batch are trained, who is told what
was trained, and a loss that is a plain mean over the items of a step.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from small_text_ext._random import derived_generator
from small_text_ext.training.inference import MAX_TOKENS, PackedForward, read_logits
from small_text_ext.training.losses import weighted_losses
from small_text_ext.training.memory import free_memory, is_out_of_memory
from small_text_ext.training.seams import (
    BatchSelector,
    CandidateBatch,
    FitPlan,
    Recorder,
    begin_selection,
    checked_selection,
    looks_ahead,
    one_ahead,
)
from small_text_ext.training.tokens import Features, TextTokenizer, grouped_by_length, lengths

_ROWS, _STEP = "rows", "step"


@dataclass(frozen=True, eq=False)
class TokenizedItems(Dataset[int]):
    """Encoded texts and what is to be learnt of them.

    Parameters
    ----------
    features : list of Features
        The encoded texts.
    labels : torch.Tensor, shape (n,) of int64, or (n, num_classes) of float32 if multi-label
        Class ids, or zeros and ones.
    weights : torch.Tensor of float32, of the shape of ``labels``
        What each loss is multiplied with: class and sample weights in one.
    ids : torch.Tensor of int64, shape (n,)
        Positions in the user's training set, as the seams see them.
    num_classes : int
        The number of logits.
    """

    features: Sequence[Features]
    labels: Tensor
    weights: Tensor
    ids: Tensor
    num_classes: int

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, row: int) -> int:
        # A batch is its rows until it is known which of them are trained.
        return row


class _CandidateSampler(Sampler[list[int]]):
    """Draws the candidate batches of an epoch: all items once, batches of nearly equal size."""

    def __init__(
        self,
        sizes: NDArray[np.int64],
        batch_size: int,
        group_by_length: bool,
        generator: Callable[[], np.random.Generator],
    ) -> None:
        self.sizes, self.group_by_length = sizes, group_by_length
        self.num_batches = math.ceil(len(sizes) / batch_size)
        self.generator = generator

    def __len__(self) -> int:
        return self.num_batches

    def __iter__(self) -> Iterator[list[int]]:
        generator = self.generator()
        order = generator.permutation(len(self.sizes))
        if self.group_by_length:
            batches = grouped_by_length(order, self.sizes, self.num_batches, generator)
        else:
            batches = np.array_split(order, self.num_batches)
        yield from (batch.tolist() for batch in batches)


@dataclass(frozen=True, eq=False)
class _Step:
    """What one candidate batch trains: rows of the items, factors of their losses, a scale.

    The sum of the losses times the scale is what the batch adds to the mean of the step.
    """

    rows: Tensor
    factors: Tensor | None
    scale: float
    epoch: int


class SelectiveTrainer(Trainer):
    """Trains an encoder on encoded texts, through the two seams.

    One epoch is one pass over the candidates. A step pads its batch to its own longest text. The
    loss is the mean of the weighted losses of the items of a step, whether the step is one batch,
    several accumulated ones, or spread over several processes: all of them draw the same candidate
    batches, choose the same items, and train their part of them.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        A sequence classification model.
    args : transformers.TrainingArguments
        What the Trainer understands; batches, shuffling and the loss are not its own, so batch
        sizes, sampling strategies and label smoothing in it have no effect. ``seed`` is the seed of
        this fit.
    items : TokenizedItems
        What to train on.
    tokenizer : TextTokenizer
        Pads batches.
    batch_size : int
        Items that a step trains, over all processes, before accumulation.
    group_by_length : bool, default=True
        Batch texts of similar length.
    batch_selector : BatchSelector or None, default=None
        Chooses what is trained; None trains everything.
    recorder : Recorder or None, default=None
        Is told what was trained.
    forward : PackedForward or None, default=None
        Runs the model over many items, for scores and for recording at the end of an epoch; None
        makes one that computes as training does.
    callbacks : list of transformers.TrainerCallback or None, default=None
        Further callbacks.

    Attributes
    ----------
    losses : list of torch.Tensor
        The weighted losses of the items of each batch of the running epoch, over all processes.
    num_correct : float
        How many of their labels were predicted.

    Raises
    ------
    ValueError
        If the candidate batch of the selector is smaller than the batch.

    Notes
    -----
    Differences from the Trainer: the loss is computed here, since models divide by counts of tokens
    that a classifier has not got, which under accumulation doubles the gradient; a batch that does
    not fit into memory is trained in two halves, with a warning; accelerate does not shard the
    batches, which would fill up uneven ones with items that are trained twice. It trains;
    `evaluate` and `predict` are the classifier's.

    Examples
    --------
    A tokenizer and an encoder that know three words:

    >>> import tempfile, tokenizers, torch, transformers
    >>> words = tokenizers.models.WordLevel({"[PAD]": 0, "good": 1, "bad": 2}, unk_token="[PAD]")
    >>> fast = transformers.PreTrainedTokenizerFast(
    ...     tokenizer_object=tokenizers.Tokenizer(words), pad_token="[PAD]"
    ... )
    >>> shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    >>> config = transformers.BertConfig(vocab_size=3, intermediate_size=8, **shape)
    >>> model = transformers.BertForSequenceClassification(config)
    >>> tokenizer = TextTokenizer(fast, max_length=4)
    >>> features, labels = tokenizer.encode(["good", "bad"]), torch.tensor([1, 0])
    >>> items = TokenizedItems(features, labels, torch.ones(2), torch.arange(2), num_classes=2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     args = transformers.TrainingArguments(
    ...         folder, num_train_epochs=2, use_cpu=True, save_strategy="no", disable_tqdm=True
    ...     )
    ...     trainer = SelectiveTrainer(model, args, items, tokenizer, batch_size=1)
    ...     trainer.train().global_step
    4
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401
        args: TrainingArguments,
        items: TokenizedItems,
        tokenizer: TextTokenizer,
        *,
        batch_size: int,
        forward: PackedForward | None = None,
        group_by_length: bool = True,
        batch_selector: BatchSelector | None = None,
        recorder: Recorder | None = None,
        callbacks: list[TrainerCallback] | None = None,
    ) -> None:
        self.items, self.text_tokenizer = items, tokenizer
        self.forward = forward or _default_forward(model, args, tokenizer)
        self.plan = FitPlan(
            ids=items.ids,
            num_classes=items.num_classes,
            num_epochs=math.ceil(args.num_train_epochs),
            batch_size=batch_size,
            multi_label=items.labels.ndim == 2,
            seed=args.seed,
        )
        self.batch_selector, self.candidate_size = begin_selection(batch_selector, self.plan)
        self.recorder, self.group_by_length = recorder, group_by_length
        if recorder is not None:
            recorder.begin(self.plan)
        self.losses: list[Tensor] = []
        self.num_correct = 0.0
        self._chunk_size: int | None = None
        self._accumulated: list[_Step] = []
        self._ahead: tuple[Iterator[Any], Iterator[Any]] | None = None
        self._passed: list[Tensor] = []
        self._measured_epoch = 0
        super().__init__(model=model, args=args, train_dataset=items, callbacks=callbacks)
        # A progress bar is the caller's; without one the Trainer prints a dict at every log.
        self.remove_callback(PrinterCallback)
        # The loss is a mean over items: the Trainer must not divide it by counts of tokens, and
        # must divide it by the number of accumulated batches.
        self.model_accepts_loss_kwargs = False

    def get_train_dataloader(self) -> DataLoader[int]:
        """Return the candidate batches, as rows; the same in every process."""
        sizes = lengths(self.items.features)
        sampler = _CandidateSampler(
            sizes,
            self.candidate_size,
            self.group_by_length,
            # By epoch, so that a training that is resumed goes on with the batches it would have.
            lambda: derived_generator(self.args.seed, 3, self._epoch()),
        )
        return DataLoader(self.items, batch_sampler=sampler, collate_fn=_as_rows)

    def get_batch_samples(
        self,
        epoch_iterator: Iterator[Any],
        num_batches: int,
        device: torch.device,
    ) -> tuple[list[Any], Any]:
        """Draw the candidate batches of one optimizer step, and choose what of them is trained."""
        if self._measured_epoch != self._epoch():
            self._measured_epoch, self.losses, self.num_correct = self._epoch(), [], 0.0
        self._accumulated = []
        if not looks_ahead(self.batch_selector):
            return self._chosen(epoch_iterator, num_batches, device)
        if self._ahead is None or self._ahead[0] is not epoch_iterator:
            # What was chosen for a step that a stop has kept from being trained goes with the old.
            self._ahead = epoch_iterator, one_ahead(self._all_chosen(epoch_iterator, device))
        drawn: tuple[list[Any], Any] = next(self._ahead[1], ([], None))
        return drawn

    def _all_chosen(
        self, epoch_iterator: Iterator[Any], device: torch.device
    ) -> Iterator[tuple[list[Any], Any]]:
        """Yield what the optimizer steps of an epoch train; the last one has what is left."""
        while True:
            drawn = self._chosen(epoch_iterator, self.args.gradient_accumulation_steps, device)
            if not drawn[0]:
                return
            yield drawn

    def _chosen(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        batches, count = super().get_batch_samples(epoch_iterator, num_batches, device)
        # Nothing is trained between the batches of a step, so all of them are chosen from at once:
        # how many items share its mean is known before the first of them is trained.
        chosen = [self._selected(batch[_ROWS]) for batch in batches]
        total = sum(len(rows) for rows, _ in chosen)
        # Times the number of batches, by which the Trainer divides.
        scale = len(batches) / max(total, 1)
        return [{_STEP: _Step(*choice, scale, self._epoch())} for choice in chosen], count

    def training_step(
        self,
        model: Any,  # noqa: ANN401
        inputs: dict[str, Any],
        num_items_in_batch: Any = None,  # noqa: ANN401
    ) -> Tensor:
        """Add the gradient of what was chosen of one candidate batch."""
        step: _Step = inputs[_STEP]
        self._accumulated.append(step)
        loss = self._backward(model, [step])
        while loss is None:
            self._halve(step)
            # What a failed pass has added to the gradient cannot be told apart: begin anew.
            model.zero_grad()
            loss = self._backward(model, self._accumulated)
        self._note(step)
        return loss

    def _backward(self, model: Any, steps: Sequence[_Step]) -> Tensor | None:  # noqa: ANN401
        """Return the loss of the last step, or None where memory ran out."""
        loss: Tensor | None = None
        try:
            for step in steps:
                self._passed = []
                losses = [
                    super(SelectiveTrainer, self).training_step(model, chunk)
                    for chunk in self._chunks(step)
                ]
                loss = torch.stack(losses).sum()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return None
        return loss

    def _chunks(self, step: _Step) -> Iterator[dict[str, Any]]:
        """Yield this process's part of a step, in pieces that fit into memory."""
        mine = torch.arange(len(step.rows))[self.args.process_index :: self.args.world_size]
        if len(mine) == 0:
            # Every process must take part in the exchange of gradients: one item of no weight.
            yield self._inputs(step, torch.zeros(1, dtype=torch.int64), empty=True)
            return
        size = self._chunk_size or len(mine)
        for positions in torch.split(mine, size):
            yield self._inputs(step, positions)

    def _inputs(self, step: _Step, positions: Tensor, empty: bool = False) -> dict[str, Any]:
        rows = step.rows[positions]
        return {
            **self.text_tokenizer.pad(
                [self.items.features[row] for row in rows.tolist()], self.forward.dtype
            ),
            "labels": self.items.labels[rows],
            "weights": self._weights(step)[positions],
            # Processes' gradients are averaged, and the mean is over the items of all of them.
            "scale": 0.0 if empty else step.scale * self.args.world_size,
        }

    def _weights(self, step: _Step) -> Tensor:
        weights = self.items.weights[step.rows]
        if step.factors is None:
            return weights
        factors = step.factors.to(weights)
        return weights * (factors if weights.ndim == 1 else factors[:, None])

    def compute_loss(
        self,
        model: Any,  # noqa: ANN401
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Return this part of the step's mean loss."""
        inputs = dict(inputs)
        labels, weights, scale = (inputs.pop(name) for name in ("labels", "weights", "scale"))
        outputs = model(**inputs)
        logits = outputs.logits.float()
        losses = weighted_losses(logits, labels, weights)
        if scale > 0:
            self._passed.append(logits.detach())
        loss = losses.sum() * scale
        return (loss, outputs) if return_outputs else loss

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Refuse: batches are rows of the training items here."""
        raise TypeError(
            "SelectiveTrainer only trains: evaluate with TransformerClassification, or with a "
            "transformers.Trainer on the same model."
        )

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Return 0: a batch is rows, and how long their texts are is not known yet."""
        return 0

    def _selected(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        if self.batch_selector is None:
            return rows, None
        items = self.items
        features = [items.features[row] for row in rows.tolist()]
        batch = CandidateBatch(
            ids=items.ids[rows],
            labels=items.labels[rows].to(self.args.device),
            source=features,
            score=lambda training=False: self._score(features, training),
            num_selected=math.ceil(len(rows) * self.plan.batch_size / self.candidate_size),
            epoch=self._epoch(),
        )
        selection = checked_selection(self.batch_selector, batch)
        return rows[selection.positions], selection.weights

    def _score(self, features: list[Features], training: bool = False) -> Tensor:
        mine = features[self.args.process_index :: self.args.world_size]
        nothing = torch.empty(0, self.plan.num_classes)
        logits = self.evaluate_logits(mine, training) if mine else nothing
        return self._gathered(logits, len(features)).to(self.args.device)

    def evaluate_logits(self, features: Sequence[Features], training: bool = False) -> Tensor:
        """Run the present model over encoded texts, without a gradient.

        Parameters
        ----------
        features : sequence of Features
            Encoded texts.
        training : bool, default=False
            Whether dropout is on.

        Returns
        -------
        torch.Tensor of float32, shape (n, num_classes)
            Logits, on the CPU.
        """
        model: Any = self.model
        mode = model.training
        model.train(training)
        try:
            (logits,) = self.forward(features, read_logits)
        finally:
            model.train(mode)
        return logits

    def _gathered(self, mine: Tensor, total: int) -> Tensor:
        """Join what the processes have for every so-manieth item, in the order of the items."""
        if self.args.world_size == 1:
            return mine
        largest = math.ceil(total / self.args.world_size)
        padded = torch.zeros(largest, self.plan.num_classes, device=self.args.device)
        padded[: len(mine)] = mine.to(padded)
        parts = self.accelerator.gather(padded).view(self.args.world_size, largest, -1)
        joined: Tensor = parts.transpose(0, 1).reshape(largest * self.args.world_size, -1)[:total]
        return joined

    def _note(self, step: _Step) -> None:
        """Keep what a step measured, and tell the recorder."""
        labels = self.items.labels[step.rows].to(self.args.device)
        nothing = torch.empty(0, self.plan.num_classes, device=self.args.device)
        logits = self._gathered(torch.cat([nothing, *self._passed]), len(step.rows))
        weights = self._weights(step).to(self.args.device)
        self.losses.append(weighted_losses(logits, labels, weights))
        self.num_correct += num_correct(logits, labels)
        if self.recorder is not None and self.recorder.observe == "training":
            self.recorder.record(self.items.ids[step.rows], logits, labels, step.epoch)

    def _epoch(self) -> int:
        return int(self.state.epoch or 0)

    def _halve(self, step: _Step) -> None:
        if self.args.world_size > 1:
            raise MemoryError(
                f"A batch of {len(step.rows)} texts does not fit into the memory of "
                f"{self.args.world_size} processes: pass a smaller batch_size, and "
                "gradient_accumulation_steps to make up for it."
            )
        size = min(self._chunk_size or len(step.rows), len(step.rows))
        if size == 1:
            raise MemoryError(
                f"A single text does not fit into the memory of {self.args.device} in training: "
                "pass a smaller max_length, or gradient_checkpointing in training_arguments."
            )
        self._chunk_size = size // 2
        self._passed = []
        free_memory()
        warnings.warn(
            f"A batch of {size} texts does not fit into the memory of {self.args.device}: it is "
            f"trained in pieces of {self._chunk_size}, with the same gradient.",
            RuntimeWarning,
            stacklevel=4,
        )


def _default_forward(
    model: Any,  # noqa: ANN401
    args: TrainingArguments,
    tokenizer: TextTokenizer,
) -> PackedForward:
    dtypes = {args.bf16: torch.bfloat16, args.fp16: torch.float16}
    max_tokens = MAX_TOKENS.get(args.device.type, MAX_TOKENS["cuda"])
    return PackedForward(model, tokenizer, args.device, dtypes.get(True), max_tokens, False)


def _as_rows(rows: list[int]) -> dict[str, Tensor]:
    return {_ROWS: torch.tensor(rows)}


def num_correct(logits: Tensor, labels: Tensor) -> float:
    """Count correct predictions; in a multi-label task each label counts one over their number."""
    if labels.ndim == 2:
        return float(((logits > 0) == (labels > 0.5)).float().mean(dim=1).sum())
    return float((logits.argmax(dim=1) == labels).sum())
