"""Low-rank adapters (LoRA) in an encoder: added, merged for prediction, written and read.

Adapters go into the model itself: it stays the class that transformers made, so that all that reads
hidden layers, pads or pickles goes on as it does without them. peft is imported where it is needed
and comes with the extra ``lora``.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from small_text_ext._random import preserved_global_state

if TYPE_CHECKING:
    from peft import LoraConfig

PeftConfig = Any
"""None, a mapping of arguments of ``peft.LoraConfig``, or one of these."""

PUBLISHED: Mapping[str, Any] = {"r": 8, "lora_alpha": 16, "lora_dropout": 0.0}
"""What the authors trained RoBERTa-base on SST-2 with, in its query and value projections."""

_WEIGHTS = "adapter_model.safetensors"
_PREFIX = "base_model.model."  # where peft's own wrapper puts the model
# The query and value projections, under the names that architectures give them. GPT-2 and the first
# DeBERTa have them in one matrix with the keys; Longformer has others for tokens that see all.
_QUERY_VALUE = frozenset(
    {
        "Wqkv",
        "c_attn",
        "in_proj",
        "q",
        "q_lin",
        "q_proj",
        "qkv_proj",
        "query",
        "query_global",
        "query_key_value",
        "query_proj",
        "v",
        "v_lin",
        "v_proj",
        "value",
        "value_global",
        "value_proj",
    }
)
_REFUSED = ("inference_mode", "modules_to_save", "trainable_token_indices")
_DRAWN = (True, "gaussian", "orthogonal")


def resolve_lora(peft_config: PeftConfig) -> LoraConfig | None:
    """Return the configuration of the adapters, or say what is wrong with it.

    Parameters
    ----------
    peft_config : mapping of str to Any, peft.LoraConfig or None
        A mapping changes the published values (r 8, alpha 16, no dropout), so that ``{}`` stands
        for them; a configuration is taken as it is. None is no adapters.

    Returns
    -------
    peft.LoraConfig or None
        A copy.

    Raises
    ------
    ImportError
        If peft is not installed.
    TypeError
        If it is neither a mapping nor a configuration of LoRA, or holds an unknown name.
    ValueError
        If it sets what the classifier sets, or draws adapters in a way that changes the encoder.
    """
    if peft_config is None:
        return None
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise ImportError(
            "peft_config needs peft: pip install 'small-text-ext[lora]', or leave it out."
        ) from error
    if isinstance(peft_config, Mapping):
        unknown = set(peft_config) - {field.name for field in dataclasses.fields(LoraConfig)}
        if unknown:
            raise TypeError(
                f"peft_config holds {sorted(unknown)[0]!r}, which peft.LoraConfig does not know."
            )
        config = LoraConfig(**{**PUBLISHED, **peft_config})
    elif isinstance(peft_config, LoraConfig):
        config = copy.deepcopy(peft_config)
    else:
        raise TypeError(
            f"peft_config is {peft_config!r}: pass a mapping of arguments of peft.LoraConfig ({{}} "
            "for the published ones), or a LoraConfig."
        )
    _check_config(config)
    return config


def _check_config(config: LoraConfig) -> None:
    for name in _REFUSED:
        if getattr(config, name, None):
            raise ValueError(
                f"peft_config sets {name}: leave it out, since the head and an encoder's pooling "
                "layer are trained whole, and nothing else is."
            )
    if config.r < 1:
        raise ValueError(f"peft_config has r {config.r}: pass a rank of at least 1.")
    if config.init_lora_weights not in _DRAWN:
        raise ValueError(
            f"peft_config has init_lora_weights {config.init_lora_weights!r}, which changes the "
            f"encoder, so that adapters alone could not be saved: pass one of {list(_DRAWN)}."
        )


def add_adapters(model: Any, config: LoraConfig, seed: int) -> None:  # noqa: ANN401
    """Put adapters into a model, and leave them, the head and the pooling layer to be trained.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        Changed in place. Without adapters of its own so far.
    config : peft.LoraConfig
        Without ``target_modules``, the query and value projections of the encoder are adapted, by
        whatever name they have.
    seed : int
        What the adapters are drawn from; the global random states stay as they were.

    Raises
    ------
    ValueError
        If no projections are found, or none has a name in ``target_modules``.
    """
    from peft import inject_adapter_in_model

    config = copy.deepcopy(config)
    if config.target_modules is None:
        config.target_modules = _query_value(model)
    _leave_out(config, {name.rpartition(".")[0] for name in _whole(model)})
    with preserved_global_state(seed, torch=True), warnings.catch_warnings():
        # That a matrix of GPT-2 lies the other way round is seen, and told, by peft.
        warnings.filterwarnings("ignore", message="fan_in_fan_out is set to False")
        inject_adapter_in_model(config, model)
    for parameter in _whole(model).values():
        parameter.requires_grad_(True)


def _leave_out(config: LoraConfig, modules: set[str]) -> None:
    """Exclude modules that are trained whole, whatever the configuration's names match."""
    given = config.exclude_modules
    if isinstance(given, str):
        config.exclude_modules = "|".join([f"(?:{given})", *map(re.escape, sorted(modules))])
    elif modules:
        config.exclude_modules = sorted({*(given or ()), *modules})


def _query_value(model: Any) -> list[str]:  # noqa: ANN401
    from transformers.pytorch_utils import Conv1D

    found = {
        name.rsplit(".", 1)[-1]
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D)
    }
    if not found & _QUERY_VALUE:
        raise ValueError(
            f"No query and value projections are known of {type(model).__name__}: pass "
            f"peft_config={{'target_modules': [...]}} with some of {sorted(found)}."
        )
    return sorted(found & _QUERY_VALUE)


def _whole(model: Any) -> dict[str, nn.Parameter]:  # noqa: ANN401
    """Return what is trained as it is: the head, and the pooling layer that it reads."""
    encoder = model.base_model
    if encoder is model:
        return {}
    prefix = f"{model.base_model_prefix}."
    return {
        name: value
        for name, value in model.named_parameters()
        if not name.startswith(prefix) or name.startswith(f"{prefix}pooler.")
    }


def adapters_of(model: Any) -> LoraConfig | None:  # noqa: ANN401
    """Return the configuration of a model's adapters; None where it has none."""
    found = getattr(model, "peft_config", None)
    return found["default"] if found else None


@contextmanager
def merged(model: Any) -> Iterator[None]:  # noqa: ANN401
    """Add the adapters to the matrices that they adapt, so that a pass costs what it does without.

    Afterwards the matrices are what they were, to the bit. A matrix that is not held in floating
    point keeps its adapter beside it. In between no parameter is marked as frozen: of those that
    are, autocast makes a new copy in lower precision for every batch.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        With adapters, or without: then nothing happens.
    """
    kept = []
    for layer in _adapted(model):
        base = layer.get_base_layer()
        own = {name: value.data for name, value in base.named_parameters(recurse=False)}
        if all(value.is_floating_point() for value in own.values()):
            kept.append((layer, base, own))
    parameters = model.parameters() if kept else ()
    frozen = [p for p in parameters if p.is_floating_point() and not p.requires_grad]
    try:
        for layer, _, _ in kept:
            # Into a new matrix: the old one is put back.
            layer.merge(safe_merge=True)
        for value in frozen:
            value.requires_grad_(True)
        yield
    finally:
        for value in frozen:
            value.requires_grad_(False)
        for layer, base, own in kept:
            if layer.merged:
                layer.unmerge()
            for name, value in own.items():
                getattr(base, name).data = value


def _adapted(model: Any) -> list[Any]:  # noqa: ANN401
    if adapters_of(model) is None:
        return []
    from peft.tuners.lora import LoraLayer

    return [module for module in model.modules() if isinstance(module, LoraLayer)]


def write_adapters(folder: Path, model: Any) -> dict[str, str]:  # noqa: ANN401
    """Write the adapters and what is trained beside them, in peft's own form.

    Parameters
    ----------
    folder : pathlib.Path
        Where to; ``peft.PeftModel.from_pretrained`` reads it there.
    model : transformers.PreTrainedModel
        With adapters.

    Returns
    -------
    dict of str to str
        The fingerprint of the encoder that they belong to, for `read_adapters`.
    """
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    config = copy.deepcopy(model.peft_config["default"])
    whole = _whole(model)
    prefix = f"{model.base_model_prefix}."
    modules = sorted({name.removeprefix(prefix).split(".", 1)[0] for name in whole})
    config.modules_to_save = modules or None
    config.task_type = "SEQ_CLS" if modules else "FEATURE_EXTRACTION"
    config.base_model_name_or_path = model.name_or_path
    config.inference_mode = True
    config.save_pretrained(str(folder))
    state = {**get_peft_model_state_dict(model, save_embedding_layers=False), **whole}
    tensors = {
        f"{_PREFIX}{name}": value.detach().cpu().contiguous().clone()
        for name, value in state.items()
    }
    save_file(tensors, folder / _WEIGHTS, metadata={"format": "pt"})
    return {"base": _fingerprint(model)}


def read_adapters(folder: Path, model: Any, fingerprint: Mapping[str, str]) -> None:  # noqa: ANN401
    """Put adapters that `write_adapters` wrote into the encoder that they were trained in.

    Parameters
    ----------
    folder : pathlib.Path
        Where they are.
    model : transformers.PreTrainedModel
        The encoder as it was before they were added; changed in place.
    fingerprint : mapping of str to str
        What `write_adapters` returned.

    Raises
    ------
    ValueError
        If it is another encoder, or a parameter is missing.
    """
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    add_adapters(model, read_config(folder), seed=0)
    if _fingerprint(model) != fingerprint["base"]:
        raise ValueError(
            f"The weights of {model.name_or_path} are not those that the adapters in "
            f"{folder} were trained with: make them available there again, or pass model_args with "
            "where they are now."
        )
    state = {
        name.removeprefix(_PREFIX): value for name, value in load_file(folder / _WEIGHTS).items()
    }
    whole = _whole(model)
    missing = sorted(set(whole) - set(state))
    if missing:
        raise ValueError(f"{folder / _WEIGHTS} lacks {missing[0]}: save the classifier again.")
    with torch.no_grad():
        for name, parameter in whole.items():
            parameter.copy_(state.pop(name))
    set_peft_model_state_dict(model, state)


def read_config(folder: Path) -> LoraConfig:
    """Return the configuration of adapters that were written to a folder."""
    from peft import LoraConfig

    config: Any = LoraConfig.from_pretrained(str(folder))
    config.modules_to_save, config.task_type, config.inference_mode = None, None, False
    found: LoraConfig = config
    return found


def _fingerprint(model: Any) -> str:  # noqa: ANN401
    """Return a hash of all that is not trained."""
    digest = hashlib.sha256()
    for name, value in sorted(model.named_parameters()):
        if not value.requires_grad:
            flat: Tensor = value.detach().cpu().contiguous().reshape(-1)
            digest.update(name.encode())
            digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()
