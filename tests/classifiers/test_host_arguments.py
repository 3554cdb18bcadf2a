"""small-text's arguments, read as ours."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_text import TransformerModelArguments
from small_text.integrations.pytorch.classifiers.base import AMPArguments
from small_text.integrations.transformers.classifiers.base import ModelLoadingStrategy

from small_text_ext import TransformerArguments
from small_text_ext.classifiers.host_arguments import (
    resolve_amp_arguments,
    resolve_model_arguments,
)


def test_the_hosts_model_arguments() -> None:
    host = TransformerModelArguments(
        "a",
        tokenizer="b",
        config="c",
        train_batch_size=7,
        model_loading_strategy=ModelLoadingStrategy.ALWAYS_LOCAL,
        compile_model=True,
    )
    choice = resolve_model_arguments(host, cache_dir="there")
    assert (choice.args.model, choice.args.tokenizer, choice.args.config) == ("a", "b", "c")
    assert choice.batch_size == 7
    assert choice.training_arguments == {"torch_compile": True}
    expected = {"local_files_only": True, "cache_dir": "there"}
    assert choice.args.model_kwargs == choice.args.tokenizer_kwargs == expected


def test_ours_keep_every_field() -> None:
    ours = TransformerArguments("a", max_length=9, model_kwargs={"attn_implementation": "eager"})
    assert resolve_model_arguments(ours).args == ours
    cached = resolve_model_arguments(ours, cache_dir="there").args
    assert cached.max_length == 9
    assert cached.model_kwargs == {"attn_implementation": "eager", "cache_dir": "there"}
    assert resolve_model_arguments("a").args == TransformerArguments("a")
    with pytest.raises(TypeError, match="model_args is 3"):
        resolve_model_arguments(3)


@pytest.mark.parametrize(
    ("amp_args", "expected"),
    [
        (None, "auto"),
        (AMPArguments(use_amp=False), "float32"),
        (AMPArguments(use_amp=True, dtype=torch.bfloat16), "bfloat16"),
        (AMPArguments(use_amp=True, dtype=torch.float16), "float16"),
    ],
)
def test_the_hosts_precision(amp_args: Any, expected: str) -> None:  # noqa: ANN401
    assert resolve_amp_arguments(amp_args, "auto") == expected


def test_a_type_that_nothing_computes_in() -> None:
    with pytest.raises(ValueError, match="float64"):
        resolve_amp_arguments(AMPArguments(use_amp=True, dtype=torch.float64), "auto")
