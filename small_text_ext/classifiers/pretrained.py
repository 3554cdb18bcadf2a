"""Pretrained encoders: which one, how it is loaded, and what differs between architectures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from logging import ERROR
from pathlib import Path
from threading import RLock
from typing import Any, Literal

import torch
from torch import Tensor

from small_text_ext._random import preserved_global_state
from small_text_ext.training.tokens import TextTokenizer

EmbeddingMethod = Literal["avg", "cls"]
Pooling = Literal["mean", "cls"]

_MAX_LENGTH = 512
_MANAGED: Mapping[str, frozenset[str]] = {
    "model_kwargs": frozenset({"config", "num_labels"}),
    "tokenizer_kwargs": frozenset(),
    "config_kwargs": frozenset({"num_labels", "problem_type"}),
}


@dataclass(frozen=True)
class TransformerArguments:
    """Which pretrained encoder a classifier starts from.

    Parameters
    ----------
    model : str or pathlib.Path
        A name on the hub, or a folder. A classification head that comes with it is kept where it
        has as many classes, and replaced by a new one otherwise.
    tokenizer : str, pathlib.Path or None, default=None
        The same for the tokenizer; None takes the model's.
    config : str, pathlib.Path or None, default=None
        The same for the configuration; None takes the model's.
    max_length : int or None, default=None
        Tokens a text is cut to. None is what model and tokenizer are made for, at most 512: as the
        time of a batch grows with its longest text, ask for more where the texts need it.
    model_kwargs, tokenizer_kwargs, config_kwargs : mapping of str to Any, default={}
        Further arguments of ``from_pretrained`` of each; the number of labels is set by the
        classifier.

    Raises
    ------
    ValueError
        If ``max_length`` is below 1 or an argument is given that the classifier sets.

    Examples
    --------
    >>> TransformerArguments("roberta-base", max_length=128).max_length
    128
    """

    model: str
    tokenizer: str | None = None
    config: str | None = None
    max_length: int | None = None
    model_kwargs: Mapping[str, Any] = field(default_factory=dict)
    tokenizer_kwargs: Mapping[str, Any] = field(default_factory=dict)
    config_kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("model", "tokenizer", "config"):
            if isinstance(getattr(self, name), Path):
                object.__setattr__(self, name, str(getattr(self, name)))
        if not isinstance(self.model, str) or not self.model:
            raise ValueError(f"model is {self.model!r}: pass a name on the hub, or a folder.")
        if self.max_length is not None and self.max_length < 1:
            raise ValueError(f"max_length is {self.max_length}: pass at least 1 token, or None.")
        for name, managed in _MANAGED.items():
            for key in managed & set(getattr(self, name)):
                raise ValueError(f"{name} holds {key!r}, which the classifier sets: leave it out.")


@dataclass(frozen=True)
class Pretrained:
    """A loaded model and what turns texts into its inputs."""

    model: Any
    tokenizer: TextTokenizer


def load_pretrained(
    args: TransformerArguments, num_classes: int, multi_label: bool, seed: int
) -> Pretrained:
    """Load an encoder with a classification head, quietly.

    Parameters
    ----------
    args : TransformerArguments
        Which one.
    num_classes : int
        Rows of the head.
    multi_label : bool
        Noted in the configuration, which travels with a saved model.
    seed : int
        What a new head is drawn from; the global random states stay as they were.

    Returns
    -------
    Pretrained
        In evaluation mode, on the CPU, in float32 unless ``model_kwargs`` says otherwise.

    Raises
    ------
    OSError
        If the model is neither a folder nor to be had from the hub.
    ValueError
        If its tokenizer has no token to pad with, ``max_length`` is more than it takes, or the
        checkpoint does not hold the weights of such an encoder.
    """
    from transformers import AutoModelForSequenceClassification

    problem = "multi_label_classification" if multi_label else "single_label_classification"
    with _loading(args, seed):
        head = {"num_labels": num_classes, "problem_type": problem}
        return _loaded(args, lambda config: AutoModelForSequenceClassification, head)


def load_encoder(args: TransformerArguments, seed: int) -> Pretrained:
    """Load an encoder without a head, quietly.

    Parameters
    ----------
    args : TransformerArguments
        Which one; of a sentence-transformers model, its transformer, and by default the longest
        text that it was made for. Of an encoder with a decoder (T5), the encoder alone.
    seed : int
        What parts are drawn from that the checkpoint lacks, such as an unused pooling layer; the
        global random states stay as they were.

    Returns
    -------
    Pretrained
        In evaluation mode, on the CPU, in float32 unless ``model_kwargs`` says otherwise.

    Raises
    ------
    OSError
        If the model is neither a folder nor to be had from the hub.
    ValueError
        As `load_pretrained`; and if transformers has no class for the encoder of an architecture
        with a decoder, as for BART.
    """
    with _loading(args, seed):
        transformer, *_ = _sentence_modules(args) or [_ROOT]
        pretrained = _loaded(_inside(args, transformer["path"]), encoder_class, {})
    own = (_read_json(args, transformer["path"], "sentence_bert_config.json") or {}).get(
        "max_seq_length"
    )
    if args.max_length is not None or own is None:
        return pretrained
    tokenizer = pretrained.tokenizer
    limit = min(int(own), tokenizer.max_length)
    return replace(pretrained, tokenizer=replace(tokenizer, max_length=limit))


def own_pooling(args: TransformerArguments) -> Pooling:
    """Return how an encoder makes one vector of a text: a sentence-transformers model says so.

    Parameters
    ----------
    args : TransformerArguments
        Which one.

    Returns
    -------
    {"mean", "cls"}
        "mean" of an encoder that is no sentence-transformers model.

    Raises
    ------
    ValueError
        If it does something else.
    """
    modules = _sentence_modules(args)
    if modules is None:
        return "mean"
    steps = []
    for module in modules[1:]:
        kind = module["type"].rpartition(".")[2]
        steps += _pooling_modes(args, module["path"]) if kind == "Pooling" else [kind]
    named: dict[str, Pooling] = {"mean": "mean", "cls": "cls"}
    steps = steps or ["nothing"]
    first, *others = steps
    # The length of a vector is no matter here: all are scaled to one.
    if first not in named or [step for step in others if step != "Normalize"]:
        raise ValueError(
            f"pooling is None, and {args.model} makes its vectors by {' and '.join(steps)}: pass "
            "pooling='mean' or 'cls', or use AlignedSetFitClassification, which keeps all modules "
            "of a sentence-transformers model."
        )
    return named[first]


# Of an encoder that is no sentence-transformers model.
_ROOT = {"path": ""}


def _sentence_modules(args: TransformerArguments) -> list[dict[str, str]] | None:
    modules = _read_json(args, "modules.json")
    return None if modules is None else list(modules)


def _pooling_modes(args: TransformerArguments, path: str) -> list[str]:
    config = _read_json(args, path, "config.json") or {}
    modes = config.get("pooling_mode")
    if modes is not None:
        return [modes] if isinstance(modes, str) else list(modes)
    # Older models have an entry for each mode.
    modes = [name for name, value in config.items() if name.startswith(_MODE) and value]
    chosen = [name.removeprefix(_MODE) for name in modes]
    return [name.removesuffix("_tokens").removesuffix("_token") for name in chosen] or ["mean"]


_MODE = "pooling_mode_"


def _inside(args: TransformerArguments, path: str) -> TransformerArguments:
    """Return where the transformer of a sentence-transformers model lies."""
    if not path:
        return args
    if Path(args.model).is_dir():
        return replace(args, model=str(Path(args.model) / path))
    inner = {"subfolder": path}
    return replace(
        args,
        model_kwargs={**inner, **args.model_kwargs},
        tokenizer_kwargs={**inner, **args.tokenizer_kwargs},
        config_kwargs={**inner, **args.config_kwargs},
    )


def _read_json(args: TransformerArguments, *parts: str) -> Any:  # noqa: ANN401
    """Return a file of a model, from a folder or the hub; None if it has none."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HFValidationError,
        RepositoryNotFoundError,
    )

    name = "/".join(part for part in parts if part)
    if Path(args.model).is_dir():
        path = Path(args.model) / name
        if not path.is_file():
            return None
    else:
        known = ("cache_dir", "force_download", "local_files_only", "revision", "token")
        options = {key: args.model_kwargs[key] for key in known if key in args.model_kwargs}
        try:
            path = Path(hf_hub_download(args.model, name, **options))
        except (EntryNotFoundError, RepositoryNotFoundError, HFValidationError):
            # Where the model itself is missing, loading it says so.
            return None
    return json.loads(path.read_text(encoding="utf-8"))


@contextmanager
def _loading(args: TransformerArguments, seed: int) -> Iterator[None]:
    try:
        with preserved_global_state(seed, torch=True), quiet():
            yield
    except OSError as error:
        raise OSError(
            f"{args.model} could not be loaded: pass a folder that holds a model, or a name on the "
            f"hub where that can be reached. ({error})"
        ) from error


def encoder_class(config: Any) -> Any:  # noqa: ANN401
    """Return transformers' class that loads the encoder of a configuration, without a head."""
    from transformers import AutoModel, AutoModelForTextEncoding

    # A decoder would ask for inputs of its own. An encoder that was saved without one says so by
    # its name alone.
    names = config.architectures or []
    half = config.is_encoder_decoder or any(name.endswith("EncoderModel") for name in names)
    return AutoModelForTextEncoding if half else AutoModel


def _loaded(
    args: TransformerArguments, choose: Callable[[Any], Any], head: Mapping[str, Any]
) -> Pretrained:
    from transformers import AutoConfig, AutoTokenizer

    name = args.config or args.model
    config = AutoConfig.from_pretrained(name, **head, **args.config_kwargs)
    tokenizer = AutoTokenizer.from_pretrained(args.tokenizer or args.model, **args.tokenizer_kwargs)
    limit = _text_limit(args, config, tokenizer)
    _resolve_padding(args, config, tokenizer)
    _resolve_attention(config)
    options = {"dtype": torch.float32, "ignore_mismatched_sizes": True, **args.model_kwargs}
    model, found = choose(config).from_pretrained(
        args.model, config=config, output_loading_info=True, **options
    )
    _check_loaded(args, model, found)
    return Pretrained(model.eval(), text_tokenizer(tokenizer, config, limit))


def text_tokenizer(tokenizer: Any, config: Any, max_length: int) -> TextTokenizer:  # noqa: ANN401
    """Return a tokenizer that gives texts the form that a model needs.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
        The model's own.
    config : transformers.PretrainedConfig
        The model's.
    max_length : int
        Tokens a text is cut to.

    Returns
    -------
    TextTokenizer
        Encoders with a decoder (T5, BART) read the text's vector at its one end token.
    """
    return TextTokenizer(
        tokenizer,
        max_length,
        max_positions=_num_positions(config),
        one_end=bool(getattr(config, "is_encoder_decoder", False)),
        segments=(getattr(config, "type_vocab_size", 0) or 0) > 1,
    )


def _check_loaded(args: TransformerArguments, model: Any, found: Mapping[str, Any]) -> None:  # noqa: ANN401
    """Refuse a checkpoint of another architecture: it would be trained from random weights."""
    prefix = "" if model.base_model is model else f"{model.base_model_prefix}."
    encoder = [name for name in model.state_dict() if name.startswith(prefix)]
    missing = [name for name in found["missing_keys"] if name.startswith(prefix)]
    mismatched = [name for name, *_ in found["mismatched_keys"] if name.startswith(prefix)]
    # A pooling layer is often new, as it is not part of what was pretrained.
    if mismatched or len(missing) > len(encoder) / 2:
        raise ValueError(
            f"{args.model} holds {len(encoder) - len(missing) - len(mismatched)} of the "
            f"{len(encoder)} weights of the encoder that its configuration describes (first: "
            f"{(mismatched or missing)[0]}): pass a checkpoint of this architecture."
        )


def _text_limit(args: TransformerArguments, config: Any, tokenizer: Any) -> int:  # noqa: ANN401
    """Return the longest text in tokens: what was asked for, or what the model takes, up to 512."""
    limit = _num_positions(config)
    if args.max_length is None:
        # Where there is no limit, a tokenizer says so by a number beyond all texts.
        return min(limit or _MAX_LENGTH, int(tokenizer.model_max_length), _MAX_LENGTH)
    if limit is not None and args.max_length > limit:
        raise ValueError(
            f"max_length is {args.max_length}, but {args.model} has positions for {limit} tokens: "
            "pass a smaller one, or None."
        )
    return args.max_length


def _num_positions(config: Any) -> int | None:  # noqa: ANN401
    """Return how many positions have an embedding; None for relative ones, as T5's."""
    positions = getattr(config, "max_position_embeddings", None)
    relative = not getattr(config, "position_biased_input", True)  # DeBERTa's
    if relative or positions is None or positions < 1:
        return None
    # RoBERTa and its descendants count positions from the one after the pad token's id.
    offset = config.pad_token_id + 1 if config.model_type in _OFFSET_POSITIONS else 0
    return int(positions) - offset


_OFFSET_POSITIONS = frozenset(
    {
        "camembert",
        "data2vec-text",
        "longformer",
        "mpnet",
        "roberta",
        "xlm-roberta",
        "xlm-roberta-xl",
    }
)


def _resolve_padding(args: TransformerArguments, config: Any, tokenizer: Any) -> None:  # noqa: ANN401
    """Give a tokenizer without a pad token (GPT-2's, say) its end token, and pad at the end.

    Padding on the left would shift the positions of a text by that of its batch. XLNet, of relative
    positions, reads the text's vector at the very end.
    """
    tokenizer.padding_side = "left" if config.model_type == "xlnet" else "right"
    if tokenizer.pad_token is None:
        substitute = tokenizer.eos_token or tokenizer.unk_token
        if substitute is None:
            raise ValueError(
                f"The tokenizer of {args.model} has no token to pad with: pass "
                "tokenizer_kwargs={'pad_token': ...} with a token of its vocabulary."
            )
        tokenizer.pad_token = substitute
    config.pad_token_id = tokenizer.pad_token_id
    if hasattr(config, "use_cache"):
        config.use_cache = False


def _resolve_attention(config: Any) -> None:  # noqa: ANN401
    """Let BigBird attend in full, as it does for all but long texts anyway.

    Its sparse pattern depends on how far a batch is padded, and it changes over to full attention
    for good at the first batch that is too short for it: a long text's result would depend on the
    others, and on what came before. Texts of thousands of tokens take more memory this way.
    """
    if getattr(config, "attention_type", None) == "block_sparse":
        config.attention_type = "original_full"


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' progress bars, and its news that the head is new, from the user's screen.

    The settings are those of the whole process: the first to ask for silence notes them, and the
    last one to leave puts them back.
    """
    from transformers.utils import logging

    with _quiet_lock:
        if not _settings:
            _settings.append((logging.get_verbosity(), logging.is_progress_bar_enabled()))
            logging.set_verbosity(ERROR)
            logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        else:
            _settings.append(_settings[0])
    try:
        yield
    finally:
        with _quiet_lock:
            verbosity, had_bar = _settings.pop()
            if not _settings:
                logging.set_verbosity(verbosity)
                if had_bar:
                    logging.enable_progress_bar()  # type: ignore[no-untyped-call]


_quiet_lock = RLock()
_settings: list[tuple[int, bool]] = []


def embedding_size(model: Any) -> int:  # noqa: ANN401
    """Return the dimension of the hidden layers of a model."""
    return int(model.config.hidden_size)


def num_layers(model: Any) -> int:  # noqa: ANN401
    """Return how many layers an encoder has, the token embeddings not counted."""
    return int(model.config.num_hidden_layers)


def hidden_layers(outputs: Any) -> tuple[Tensor, ...]:  # noqa: ANN401
    """Return the hidden states after each layer, the token embeddings left out.

    Parameters
    ----------
    outputs : transformers.utils.ModelOutput
        Of a model called with ``output_hidden_states=True``.

    Returns
    -------
    tuple of torch.Tensor, each of shape (b, longest, d)
        For T5 those of the encoder: the classifier shows its decoder the text alone.
    """
    states = getattr(outputs, "hidden_states", None)
    if states is None:
        states = outputs.encoder_hidden_states
    return tuple(states[1:])


def pooled(hidden: Tensor, mask: Tensor, method: EmbeddingMethod, first: bool) -> Tensor:
    """Make one vector of each text's token vectors.

    Parameters
    ----------
    hidden : torch.Tensor, shape (b, longest, d)
        Hidden states.
    mask : torch.Tensor of int64, shape (b, longest)
        1 where there is a token.
    method : {"avg", "cls"}
        The mean over all tokens of the text, or the token that stands for all of it.
    first : bool
        Whether that token is the first one, see `summary_is_first`; else it is the last one.

    Returns
    -------
    torch.Tensor of float32, shape (b, d)
        The vectors.
    """
    # Longformer pads to whole windows on its own.
    states = hidden[:, : mask.shape[1]].float()
    if method == "avg":
        weights = mask[:, :, None].to(states.dtype)
        return (states * weights).sum(dim=1) / weights.sum(dim=1)
    last = mask.shape[1] - 1
    positions = mask.argmax(dim=1) if first else last - mask.flip(1).argmax(dim=1)
    return states[torch.arange(len(states), device=states.device), positions]


def summary_is_first(tokenizer: Any) -> bool:  # noqa: ANN401
    """Tell where the token is that can stand for the text: first, where there is a CLS token.

    A decoder such as GPT-2 has seen the whole text at the last token only, and T5 ends with its
    end token.
    """
    return tokenizer.cls_token is not None
