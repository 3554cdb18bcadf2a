"""One sentence encoder behind one call: arithmetic, batches of similar length, identity."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Precision = Literal["float32", "bfloat16"]
# How many batches go into one call of the encoder: the grain of the progress bar.
_BATCHES_A_CALL = 8


class Encoder:
    """A sentence-transformers model with the arithmetic it is asked to work in.

    Parameters
    ----------
    model : str or sentence_transformers.SentenceTransformer
        A name on the hub, a folder, or a loaded model; a name is loaded at the first use.
    precision : {"float32", "bfloat16"}, default="float32"
        bfloat16 runs under autocast; the weights of the model stay as they are.
    batch_size : int, default=64
        Texts a batch.
    device : str or None, default=None
        Where a model that is loaded by name goes; by default a GPU where there is one.

    Raises
    ------
    ValueError
        If an argument is out of range.
    """

    def __init__(
        self,
        model: str | SentenceTransformer,
        *,
        precision: Precision = "float32",
        batch_size: int = 64,
        device: str | None = None,
    ) -> None:
        if precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision is {precision!r}: pass 'float32' or 'bfloat16'.")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}: pass at least 1.")
        self._given = model
        self.precision = precision
        self.batch_size = batch_size
        self.device = device

    @cached_property
    def model(self) -> SentenceTransformer:
        """The loaded model, in evaluation mode."""
        from sentence_transformers import SentenceTransformer

        given = self._given
        loaded = (
            given
            if isinstance(given, SentenceTransformer)
            else SentenceTransformer(str(given), device=self.device)
        )
        return loaded.eval()

    def identity(self) -> dict[str, Any]:
        """Return what tells this encoder from others: name, hash of its weights, length limit.

        Returns
        -------
        dict
            ``name``, ``weights`` (SHA-256 over all parameters, and over the settings that change
            a vector: modules, pooling, prompts, text limit, dimension) and ``max_seq_length``.
        """
        name = self._given if isinstance(self._given, str) else _name_of(self.model)
        limit = self.model.max_seq_length
        return {"name": name, "weights": self._weights, "max_seq_length": limit}

    @cached_property
    def _weights(self) -> str:
        digest = hashlib.sha256(json.dumps(self._settings(), sort_keys=True, default=str).encode())
        for key, tensor in sorted(self.model.state_dict().items()):
            digest.update(f"{key}{tuple(tensor.shape)}{tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().float().contiguous().numpy())
        return digest.hexdigest()

    def _settings(self) -> dict[str, Any]:
        modules: list[tuple[str, Any]] = [
            (type(module).__name__, getattr(module, "get_config_dict", dict)())
            for module in self.model
        ]
        names = ("max_seq_length", "truncate_dim", "prompts", "default_prompt_name")
        return {"modules": modules, **{name: getattr(self.model, name, None) for name in names}}

    def encode(
        self, texts: Sequence[str], report: Callable[[int], object] | None = None
    ) -> NDArray[np.float32]:
        """Encode texts in batches of similar length.

        Parameters
        ----------
        texts : sequence of str
            At least one text.
        report : callable or None, default=None
            Called with the number of texts that have just been encoded.

        Returns
        -------
        numpy.ndarray of float32, shape (n, d)
            One row for each text, in the given order, as the model made them.
        """
        order = np.argsort([-len(text) for text in texts], kind="stable")
        step = self.batch_size * _BATCHES_A_CALL
        parts = []
        with self._arithmetic():
            for start in range(0, len(order), step):
                part = [texts[position] for position in order[start : start + step]]
                parts.append(self._encode_part(part))
                if report is not None:
                    report(len(part))
        result = np.empty((len(order), parts[0].shape[1]), np.float32)
        result[order] = np.concatenate(parts)
        return result

    def _encode_part(self, texts: list[str]) -> NDArray[np.float32]:
        vectors = self.model.encode(
            texts, batch_size=self.batch_size, convert_to_tensor=True, show_progress_bar=False
        )
        return np.asarray(vectors.float().cpu().numpy())

    @contextmanager
    def _arithmetic(self) -> Iterator[None]:
        import torch

        kind = torch.device(self.model.device).type
        low = self.precision == "bfloat16"
        with torch.autocast(kind, torch.bfloat16) if low else nullcontext():
            yield

    @contextmanager
    def progress(
        self, total: int, done: int, show: bool | None
    ) -> Iterator[Callable[[int], object]]:
        """Open a progress bar over texts.

        Parameters
        ----------
        total : int
            All texts.
        done : int
            Those that are encoded already.
        show : bool or None
            None shows the bar on a terminal only.

        Yields
        ------
        callable
            Takes the number of texts just encoded.
        """
        from tqdm.auto import tqdm

        disable = None if show is None else not show
        with tqdm(total=total, initial=done, unit="text", desc="encode", disable=disable) as bar:
            yield bar.update


def _name_of(model: SentenceTransformer) -> str:
    config = getattr(getattr(model[0], "auto_model", None), "config", None)
    return str(getattr(config, "_name_or_path", "") or type(model).__name__)
