"""A fitted classifier as a folder: weights in safetensors, the rest in JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from small_text_ext._files import part_of, write_json
from small_text_ext._random import preserved_global_state
from small_text_ext.classifiers.lora import (
    adapters_of,
    add_adapters,
    read_adapters,
    read_config,
    write_adapters,
)
from small_text_ext.classifiers.pretrained import Pretrained, quiet, text_tokenizer

_DESCRIPTION, _ARRAYS = "classifier.json", "training_set.safetensors"
_FORMAT = 1
# Of folders that do not say whose they are.
_FIRST_KIND = "TransformerClassification"


@dataclass(frozen=True)
class PickledModel:
    """A model as what it is rebuilt from; the module itself carries hooks that no pickle takes.

    Parameters
    ----------
    kind : type
        Its class.
    config : transformers.PretrainedConfig
        Its configuration.
    state : dict of str to torch.Tensor
        Parameters and buffers.
    adapters : peft.LoraConfig or None, default=None
        What its adapters are, where it has some.
    """

    kind: type[Any]
    config: Any
    state: dict[str, torch.Tensor]
    adapters: Any = None

    @classmethod
    def of(cls, model: Any) -> PickledModel:  # noqa: ANN401
        """Take a model apart."""
        return cls(type(model), model.config, model.state_dict(), adapters_of(model))

    def restored(self) -> Any:  # noqa: ANN401
        """Put the model together again, in evaluation mode."""
        with preserved_global_state(0, torch=True):
            model = self.kind(self.config)
        if self.adapters is not None:
            add_adapters(model, self.adapters, seed=0)
        model.load_state_dict(self.state)
        return model.eval()


def save_checkpoint(
    folder: str | Path,
    pretrained: Pretrained,
    options: Mapping[str, Any],
    *,
    kind: str = _FIRST_KIND,
    arrays: Mapping[str, NDArray[Any]] | None = None,
) -> None:
    """Write model, tokenizer and options; the folder is there whole or not at all.

    Of a model with adapters, these alone are written, and what is trained beside them.

    Parameters
    ----------
    folder : str or Path
        Where to; it must not exist, or be empty.
    pretrained : Pretrained
        Model and tokenizer.
    options : mapping of str to Any
        What the classifier was made with; JSON.
    kind : str, default="TransformerClassification"
        The classifier's class.
    arrays : mapping of str to numpy.ndarray or None, default=None
        What else it holds, for `load_arrays`.

    Raises
    ------
    FileExistsError
        If there is something already.
    TypeError
        If an option cannot be written as JSON.
    """
    from safetensors.numpy import save_file

    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(f"{target} exists and is not empty: pass another folder.")
    _check_json(options)
    target.parent.mkdir(parents=True, exist_ok=True)
    with part_of(target) as part:
        with quiet():
            adapters = _write_model(part, pretrained.model)
            pretrained.tokenizer.tokenizer.save_pretrained(part)
        description = {
            "format": _FORMAT,
            "classifier": kind,
            "max_length": pretrained.tokenizer.max_length,
            "adapters": adapters,
            "options": dict(options),
        }
        if arrays is not None:
            save_file({name: np.ascontiguousarray(a) for name, a in arrays.items()}, part / _ARRAYS)
        write_json(part / _DESCRIPTION, description)


def _write_model(folder: Path, model: Any) -> dict[str, str] | None:  # noqa: ANN401
    """Return what is to be known of its adapters, where it has some."""
    if adapters_of(model) is not None:
        return write_adapters(folder, model)
    model.save_pretrained(folder)
    return None


def _check_json(options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        try:
            json.dumps(value)
        except TypeError as error:
            raise TypeError(
                f"{name} is {value!r}, which cannot be saved as JSON: pickle the classifier, or "
                f"make it with another {name}."
            ) from error


def _sequence_classifier(config: Any) -> Any:  # noqa: ANN401
    from transformers import AutoModelForSequenceClassification

    return AutoModelForSequenceClassification


def load_checkpoint(
    folder: str | Path,
    changes: Mapping[str, Any],
    load_base: Callable[[Mapping[str, Any]], Pretrained],
    *,
    kind: str = _FIRST_KIND,
    choose: Callable[[Any], Any] = _sequence_classifier,
) -> tuple[Pretrained, dict[str, Any]]:
    """Read what `save_checkpoint` wrote.

    Parameters
    ----------
    folder : str or Path
        The folder.
    changes : mapping of str to Any
        Options that are to differ from the saved ones.
    load_base : callable
        Takes the options and returns what a first fit starts from: of a model with adapters, the
        folder holds these alone.
    kind : str, default="TransformerClassification"
        The classifier's class.
    choose : callable, optional
        Takes a configuration, and returns transformers' class that loads the model; a sequence
        classifier's by default.

    Returns
    -------
    pretrained : Pretrained
        Model, on the CPU and in evaluation mode, and tokenizer.
    options : dict of str to Any
        What the classifier was made with.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no classifier in it.
    ValueError
        If the description is of another format or of another class, or the encoder is not the one
        that adapters were trained in.
    """
    from transformers import AutoConfig, AutoTokenizer

    path = Path(folder) / _DESCRIPTION
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: pass a folder that {kind}.save has "
            "written. A pretrained model is passed as model_args."
        )
    description = json.loads(path.read_text(encoding="utf-8"))
    if description.get("format") != _FORMAT:
        raise ValueError(
            f"{path} has the format {description.get('format')!r}, but this version reads "
            f"{_FORMAT}: load it with the version that wrote it."
        )
    saved_kind = description.get("classifier", _FIRST_KIND)
    if saved_kind != kind:
        raise ValueError(f"{path} holds a {saved_kind}: load it by {saved_kind}.load.")
    options = {**description["options"], **changes}
    # Not there in what was written before there were adapters.
    if description.get("adapters"):
        pretrained = load_base(options)
        read_adapters(Path(folder), pretrained.model, description["adapters"])
        return pretrained, {**options, "peft_config": read_config(Path(folder))}
    with quiet():
        config = AutoConfig.from_pretrained(folder)
        model = choose(config).from_pretrained(folder, config=config)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = text_tokenizer(tokenizer, model.config, description["max_length"])
    return Pretrained(model.eval(), texts), options


def load_arrays(folder: str | Path) -> dict[str, NDArray[Any]]:
    """Read the arrays that `save_checkpoint` wrote.

    Parameters
    ----------
    folder : str or Path
        The folder.

    Returns
    -------
    dict of str to numpy.ndarray
        The arrays by their names.
    """
    from safetensors.numpy import load_file

    return dict(load_file(Path(folder) / _ARRAYS))
