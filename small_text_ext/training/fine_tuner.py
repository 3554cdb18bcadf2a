"""One fit of an encoder through the Trainer, of which nothing is left but the model."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor
from tqdm.auto import tqdm
from transformers import Trainer, TrainerCallback, TrainingArguments

from small_text_ext._random import preserved_global_state
from small_text_ext.training.history import BestEpoch, TrainingHistory
from small_text_ext.training.inference import PackedForward
from small_text_ext.training.losses import weighted_losses
from small_text_ext.training.memory import return_memory
from small_text_ext.training.seams import BatchSelector, Recorder, tell_trained
from small_text_ext.training.tokens import TextTokenizer
from small_text_ext.training.trainer import SelectiveTrainer, TokenizedItems, num_correct

MANAGED_ARGUMENTS = frozenset(
    {
        "auto_find_batch_size",
        "bf16",
        "data_seed",
        "dataloader_drop_last",
        "dataloader_num_workers",
        "disable_tqdm",
        "do_eval",
        "eval_on_start",
        "eval_strategy",
        "fp16",
        "include_num_input_tokens_seen",
        "label_smoothing_factor",
        "learning_rate",
        "load_best_model_at_end",
        "lr_scheduler_type",
        "max_steps",
        "num_train_epochs",
        "output_dir",
        "per_device_eval_batch_size",
        "per_device_train_batch_size",
        "remove_unused_columns",
        "save_strategy",
        "seed",
        "train_sampling_strategy",
        "use_cpu",
        "warmup_ratio",
        "warmup_steps",
        "weight_decay",
    }
)
"""Training arguments that the fit sets itself, or that mean nothing to it."""


@dataclass(frozen=True)
class FineTuner:
    """Trains an encoder with a classification head by the Hugging Face Trainer.

    Parameters
    ----------
    num_epochs : int
        Passes over the (candidate) items.
    lr : float
        The highest learning rate.
    batch_size : int
        Items that a step trains, over all processes.
    weight_decay : float, default=0.01
        AdamW's; biases and layer norms are left alone.
    warmup : float, default=0.0
        The share of all steps over which the learning rate rises to ``lr``.
    lr_scheduler_type : str, default="linear"
        How it falls after that; any name that the Trainer knows.
    validations_per_epoch : int, default=1
        How often the validation set is looked at.
    patience : int or None, default=None
        Stop after so many epochs without a lower loss; None never stops.
    early_stopping : object or None, default=None
        A further rule: small-text's ``EarlyStoppingHandler``.
    group_by_length : bool, default=True
        Batch texts of similar length.
    dtype : torch.dtype or None, default=None
        Lower precision to compute in; weights stay in float32.
    training_arguments : mapping of str to Any, default={}
        Further arguments of ``transformers.TrainingArguments``.
    batch_selector : BatchSelector or None, default=None
        Chooses what is trained; None trains everything.
    recorder : Recorder or None, default=None
        Is told what was trained.
    show_progress : bool or None, default=None
        None shows a bar on a terminal only.
    seed : int, default=0
        Seeds shuffling and dropout.
    """

    num_epochs: int
    lr: float
    batch_size: int
    weight_decay: float = 0.01
    warmup: float = 0.0
    lr_scheduler_type: str = "linear"
    validations_per_epoch: int = 1
    patience: int | None = None
    early_stopping: Any = None
    group_by_length: bool = True
    dtype: torch.dtype | None = None
    training_arguments: Mapping[str, Any] = field(default_factory=dict)
    batch_selector: BatchSelector | None = None
    recorder: Recorder | None = None
    show_progress: bool | None = None
    seed: int = 0

    def fit(
        self,
        model: Any,  # noqa: ANN401
        tokenizer: TextTokenizer,
        items: TokenizedItems,
        forward: PackedForward,
        validation: TokenizedItems | None = None,
        held_out: TokenizedItems | None = None,
    ) -> TrainingHistory:
        """Train ``model`` in place, and leave it in evaluation mode.

        The states of the global random generators stay as they were, and no file is left.

        Parameters
        ----------
        model : transformers.PreTrainedModel
            A sequence classification model.
        tokenizer : TextTokenizer
            Pads batches.
        items : TokenizedItems
            The training items.
        forward : PackedForward
            Runs the model over the validation set.
        validation : TokenizedItems or None, default=None
            Decides which epoch is best and when to stop.
        held_out : TokenizedItems or None, default=None
            What a recorder that observes held-out items is shown after each epoch.

        Returns
        -------
        TrainingHistory
            Losses, the best epoch, and the number of steps.

        Raises
        ------
        FloatingPointError
            If the loss is no longer finite.
        MemoryError
            If a single text does not fit into memory.
        ValueError
            If a rule to stop by asks for a validation set and there is none, or if the selector's
            candidate batch is smaller than the batch size, or its choice cannot be trained.
        """
        with (
            preserved_global_state(self.seed, torch=True),
            tempfile.TemporaryDirectory(prefix="small-text-ext-") as folder,
        ):
            observer = _Observer(self, validation, held_out)
            trainer = SelectiveTrainer(
                model,
                self._arguments(folder, forward.device),
                items,
                tokenizer,
                batch_size=self.batch_size,
                forward=forward,
                group_by_length=self.group_by_length,
                batch_selector=self.batch_selector,
                recorder=self.recorder,
                callbacks=[observer],
            )
            try:
                observer.watch(trainer)
                trainer.train()
                observer.best.restore()
            finally:
                observer.close()
                release(trainer, model)
        if self.recorder is not None:
            self.recorder.end(observer.num_completed)
        return observer.history

    def _arguments(self, folder: str, device: torch.device) -> TrainingArguments:
        return trainer_arguments(
            folder,
            device,
            self.dtype,
            self.training_arguments,
            num_train_epochs=self.num_epochs,
            learning_rate=self.lr,
            weight_decay=self.weight_decay,
            lr_scheduler_type=self.lr_scheduler_type,
            per_device_train_batch_size=self.batch_size,
            seed=self.seed,
        )


def trainer_arguments(
    folder: str,
    device: torch.device,
    dtype: torch.dtype | None,
    further: Mapping[str, Any],
    **schedule: Any,  # noqa: ANN401
) -> TrainingArguments:
    """Return the arguments of a fit that is quiet, saves nothing and evaluates nothing.

    Parameters
    ----------
    folder : str
        Where the Trainer may write.
    device : torch.device
        Where to compute; one with a number is meant alone, otherwise all that are visible take
        part.
    dtype : torch.dtype or None
        Lower precision to compute in; None is float32.
    further : mapping of str to Any
        What the user passes on; none of `MANAGED_ARGUMENTS`.
    **schedule : Any
        Epochs, learning rate and the like.

    Returns
    -------
    transformers.TrainingArguments
        The arguments.
    """
    arguments = TrainingArguments(
        output_dir=folder,
        save_strategy="no",
        eval_strategy="no",
        disable_tqdm=True,
        remove_unused_columns=False,
        use_cpu=device.type == "cpu",
        bf16=dtype is torch.bfloat16,
        fp16=dtype is torch.float16,
        **{"logging_strategy": "no", "report_to": "none", **schedule, **further},
    )
    if device.index is not None:
        _ = arguments.device
        arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


class _Observer(TrainerCallback):
    """Measures a fit: losses, the best epoch, whether to stop, and what a recorder wants to see."""

    def __init__(
        self,
        tuner: FineTuner,
        validation: TokenizedItems | None,
        held_out: TokenizedItems | None,
    ) -> None:
        self.tuner, self.validation, self.held_out = tuner, validation, held_out
        self.history = TrainingHistory()
        self.validated_epochs: list[int] = []
        self.num_completed = 0
        self.bar: Any = None

    def watch(self, trainer: SelectiveTrainer) -> None:
        """Begin with the fit of a trainer."""
        self.trainer = trainer
        # More often than there are steps, nothing new is to be seen.
        self.times = min(self.tuner.validations_per_epoch, self._steps_per_epoch())
        patience = self.tuner.patience
        self.best = BestEpoch(
            cast(Any, trainer.model), None if patience is None else patience * self.times
        )
        self.history.validation_losses = self.best.losses
        trainer.args.warmup_steps = round(self.tuner.warmup * self._num_steps())
        disable = None if self.tuner.show_progress is None else not self.tuner.show_progress
        self.bar = tqdm(total=self._num_steps(), desc="fit", unit="step", disable=disable)

    def close(self) -> None:
        """Close the progress bar, and let go of the trainer."""
        if self.bar is not None:
            self.bar.close()
            del self.trainer

    def on_step_end(
        self,
        args: Any,  # noqa: ANN401
        state: Any,  # noqa: ANN401
        control: Any,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Validate where it is due."""
        self.bar.update()
        self.history.num_steps = state.global_step
        steps, times = self._steps_per_epoch(), self.times
        self.num_completed = state.global_step // steps
        position = (state.global_step - 1) % steps + 1
        if position * times // steps > (position - 1) * times // steps:
            self._validate(control, epoch=(state.global_step - 1) // steps)

    def on_epoch_end(
        self,
        args: Any,  # noqa: ANN401
        state: Any,  # noqa: ANN401
        control: Any,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Keep the mean loss of the epoch, and show the recorder all items."""
        epoch = len(self.history.train_losses)
        self.history.train_losses.append(self._train_loss())
        if not math.isfinite(self.history.train_losses[-1]):
            raise FloatingPointError(
                f"The training loss of epoch {epoch} is {self.history.train_losses[-1]}: pass a "
                f"smaller lr than {self.tuner.lr}, or precision='float32'."
            )
        if self.validation is None:
            self.history.best_epoch = epoch
            stop = self.tuner.early_stopping is not None and self._handler_stops(epoch, {})
            control.should_training_stop = control.should_training_stop or stop
        self._observe(epoch)

    def _observe(self, epoch: int) -> None:
        recorder = self.tuner.recorder
        tell_trained(recorder, epoch)
        if recorder is None or recorder.observe == "training":
            return
        items = self.held_out if recorder.observe == "held_out" else self.trainer.items
        if items is not None:
            logits = self.trainer.evaluate_logits(items.features)
            device = self.trainer.args.device
            recorder.record(items.ids, logits.to(device), items.labels.to(device), epoch)

    def _validate(self, control: Any, epoch: int) -> None:  # noqa: ANN401
        if self.validation is None:
            return
        logits, labels = (
            self.trainer.evaluate_logits(self.validation.features),
            self.validation.labels,
        )
        losses = weighted_losses(logits, labels, self.validation.weights)
        stop = self.best.should_stop(float(losses.mean()))
        self.validated_epochs.append(epoch)
        self.history.best_epoch = self.validated_epochs[self.best.epoch]
        self.history.validation_steps.append(self.history.num_steps)
        self.history.validation_accuracies.append(num_correct(logits, labels) / len(labels))
        if self.tuner.early_stopping is not None:
            accuracy = self.history.validation_accuracies[-1]
            measured = {"val_loss": self.best.losses[-1], "val_acc": accuracy}
            stop = self._handler_stops(epoch, measured) or stop
        control.should_training_stop = control.should_training_stop or stop

    def _handler_stops(self, epoch: int, validated: dict[str, float]) -> bool:
        trained = sum(len(losses) for losses in self.trainer.losses)
        accuracy = self.trainer.num_correct / max(trained, 1)
        measured = {"train_loss": self._train_loss(), "train_acc": accuracy, **validated}
        try:
            return bool(self.tuner.early_stopping.check_early_stop(epoch + 1, measured))
        except KeyError as error:
            raise ValueError(
                f"early_stopping asks for {error}, and {sorted(measured)} was measured: pass a "
                "validation set, or a validation_set_size that leaves some items."
            ) from error

    def _train_loss(self) -> float:
        losses: list[Tensor] = self.trainer.losses
        return float(torch.cat(losses).mean()) if losses else math.nan

    def _steps_per_epoch(self) -> int:
        batches = math.ceil(len(self.trainer.items) / self.trainer.candidate_size)
        return math.ceil(batches / self.trainer.args.gradient_accumulation_steps)

    def _num_steps(self) -> int:
        return self._steps_per_epoch() * self.tuner.num_epochs


def release(trainer: Trainer, model: Any) -> None:  # noqa: ANN401
    """Take the model out of a trainer, as it was before, in evaluation mode.

    accelerate wraps the forward method for mixed precision, which could not be pickled. A trainer
    is a ring of references: what it holds would stay until the next collection of garbage.
    """
    trainer.accelerator.unwrap_model(trainer.model_wrapped, keep_fp32_wrapper=False)
    # By this mark the next fit would take the model for wrapped: it would train in float32, and
    # each process for itself.
    vars(model).pop("_is_accelerate_prepared", None)
    for holder in (trainer, trainer.callback_handler):
        for name in ("model", "model_wrapped", "optimizer", "lr_scheduler"):
            setattr(holder, name, None)
    model.zero_grad(set_to_none=True)
    trainer.accelerator.free_memory()
    return_memory()
    model.eval()
