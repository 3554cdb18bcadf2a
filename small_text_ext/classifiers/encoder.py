"""What the classifiers share that train an encoder on texts as they are."""

from __future__ import annotations

import copy
import dataclasses
import functools
import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm.auto import tqdm
from transformers import SchedulerType, TrainingArguments

from small_text_ext.classifiers.base import Items, TrainedClassifier, check_positive_integer
from small_text_ext.classifiers.checkpoints import PickledModel
from small_text_ext.classifiers.lora import PeftConfig, add_adapters, merged, resolve_lora
from small_text_ext.classifiers.pretrained import Pretrained, TransformerArguments, quiet
from small_text_ext.classifiers.texts import encode_items, texts_of
from small_text_ext.training.fine_tuner import MANAGED_ARGUMENTS
from small_text_ext.training.inference import MAX_TOKENS, PackedForward, Readout
from small_text_ext.training.precision import Precision, default_device, resolve_precision
from small_text_ext.training.trainer import TokenizedItems

# Bounds what is tokenised at a time; within it, texts are sorted by length.
_TEXTS_AT_A_TIME = 32_768


class EncoderClassifier(TrainedClassifier):
    """Starts, reads and pickles an encoder; what it is trained for is a subclass's.

    A subclass sets the attributes below and implements `_load`.

    Attributes
    ----------
    model_args : TransformerArguments
        The encoder to start from.
    device : str or None
        Where to compute.
    max_tokens : int or None
        Padded tokens of an inference batch.
    precision : {"auto", "float32", "bfloat16", "float16"}
        What matrix products are computed in.
    show_progress : bool or None
        Whether bars are shown.
    peft_config : mapping of str to Any, peft.LoraConfig or None
        The adapters that are trained in place of the encoder.
    """

    model_args: TransformerArguments
    device: str | None
    max_tokens: int | None
    precision: Precision
    show_progress: bool | None
    peft_config: PeftConfig = None
    _text_tokenizer: Any

    @property
    def tokenizer(self) -> Any:  # noqa: ANN401 - transformers'
        """The tokenizer; None before the first fit."""
        return None if self._text_tokenizer is None else self._text_tokenizer.tokenizer

    @abstractmethod
    def _load(self, seed: int) -> Pretrained:
        """Load what the first fit starts from."""

    def _start(self, seed: int) -> Pretrained:
        """Return what to train: a copy, so that a fit that fails leaves all as it was."""
        if self.model is None:
            pretrained = self._load(seed)
            adapters = resolve_lora(self.peft_config)
            if adapters is not None:
                add_adapters(pretrained.model, adapters, seed)
            return pretrained
        return Pretrained(copy.deepcopy(self.model.cpu()), self._text_tokenizer)

    def _tokenized(self, items: Items, texts: list[Any], tokenizer: Any) -> TokenizedItems:  # noqa: ANN401
        return TokenizedItems(
            features=encode_items([texts[row] for row in items.rows], tokenizer),
            labels=torch.from_numpy(items.labels),
            weights=torch.from_numpy(items.weights),
            ids=torch.from_numpy(items.rows),
            num_classes=self.num_classes,
        )

    def _forward(
        self,
        model: Callable[..., Any],
        tokenizer: Any,  # noqa: ANN401
        inference: bool = True,
    ) -> PackedForward:
        device = default_device(self.device)
        return PackedForward(
            model,
            tokenizer,
            device,
            resolve_precision(self.precision, device),
            self.max_tokens or MAX_TOKENS.get(device.type, MAX_TOKENS["cuda"]),
            inference,
        )

    def _read(
        self,
        data_set: Any,  # noqa: ANN401
        readout: Readout,
        sizes: Sequence[int],
        num_samples: int = 1,
        hidden: bool = False,
    ) -> list[tuple[NDArray[np.float32], ...]]:
        """Run the model over the texts, once or as so many samples with dropout on.

        ``sizes`` are the columns of what the readout returns.
        """
        texts = texts_of(data_set)
        nothing = tuple(np.empty((0, size), dtype=np.float32) for size in sizes)
        parts: list[list[tuple[NDArray[np.float32], ...]]] = [[nothing] for _ in range(num_samples)]
        model = self.model.to(default_device(self.device))
        call = functools.partial(model, output_hidden_states=True) if hidden else model
        forward = self._forward(call, self._text_tokenizer)
        mode = _mode(model, training=num_samples > 1)
        # Adapters have a dropout of their own, which samples are to have.
        cheap = merged(model) if num_samples == 1 else nullcontext()
        with quiet(), mode, cheap, self._progress(texts, num_samples) as report:
            for start in range(0, len(texts), _TEXTS_AT_A_TIME):
                part = texts[start : start + _TEXTS_AT_A_TIME]
                features = encode_items(part, self._text_tokenizer)
                for sample in parts:
                    sample.append(tuple(r.numpy() for r in forward(features, readout, report)))
        if forward.max_tokens < self._forward(call, self._text_tokenizer).max_tokens:
            self.max_tokens = forward.max_tokens
        return [tuple(map(np.concatenate, zip(*sample, strict=True))) for sample in parts]

    @contextmanager
    def _progress(self, texts: Any, num_samples: int) -> Iterator[Callable[[int], object]]:  # noqa: ANN401
        disable = None if self.show_progress is None else not self.show_progress
        total = len(texts) * num_samples
        with tqdm(total=total, desc="predict", unit="text", leave=False, disable=disable) as bar:
            yield bar.update

    def __getstate__(self) -> dict[str, Any]:
        # Parameters travel on the CPU: the file must open on a machine without this one's GPU. They
        # go back to it when they are next needed; a copy might not fit beside them.
        model = None if self.model is None else PickledModel.of(self.model.cpu())
        return {**self.__dict__, "model": model}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.model is not None:
            self.model = state["model"].restored()


@contextmanager
def _mode(model: Any, training: bool) -> Iterator[None]:  # noqa: ANN401
    """Switch dropout on or off."""
    model.train(training)
    try:
        yield
    finally:
        model.eval()


def check_fit_options(clf: Any) -> None:  # noqa: ANN401
    """Check what every fit of an encoder takes, or say what is wrong with it.

    Parameters
    ----------
    clf : EncoderClassifier
        With ``batch_size``, ``lr``, ``weight_decay``, ``warmup``, ``lr_scheduler_type`` and
        ``training_arguments`` besides the attributes of every encoder's classifier.

    Raises
    ------
    TypeError, ValueError
        If one is of the wrong kind or out of range.
    """
    check_positive_integer("batch_size", clf.batch_size)
    resolve_lora(clf.peft_config)
    if clf.max_tokens is not None:
        check_positive_integer("max_tokens", clf.max_tokens)
    if not 0 < clf.lr < math.inf:
        raise ValueError(f"lr is {clf.lr}: pass a number above 0.")
    if not 0 <= clf.weight_decay < math.inf:
        raise ValueError(f"weight_decay is {clf.weight_decay}: pass a number of at least 0.")
    if not 0 <= clf.warmup < 1:
        raise ValueError(f"warmup is {clf.warmup}: pass a share of at least 0 and below 1.")
    if clf.lr_scheduler_type not in list(SchedulerType):
        raise ValueError(
            f"lr_scheduler_type is {clf.lr_scheduler_type!r}: pass one of "
            f"{[kind.value for kind in SchedulerType]}."
        )
    _check_training_arguments(clf.training_arguments)
    device = default_device(clf.device)
    resolve_precision(clf.precision, device)
    if device.type == "cuda" and (device.index or 0) > 0:
        raise ValueError(
            f"device is {clf.device!r}: set the environment variable CUDA_VISIBLE_DEVICES="
            f"{device.index} and pass 'cuda', since accelerate takes the first visible GPU."
        )


def _check_training_arguments(arguments: Mapping[str, Any]) -> None:
    known = {field.name for field in dataclasses.fields(TrainingArguments)}
    for name in arguments:
        if name in MANAGED_ARGUMENTS:
            raise ValueError(
                f"training_arguments holds {name!r}, which the classifier sets: use its own "
                "arguments."
            )
        if name not in known:
            raise ValueError(
                f"training_arguments holds {name!r}, which transformers.TrainingArguments does not "
                "know."
            )
