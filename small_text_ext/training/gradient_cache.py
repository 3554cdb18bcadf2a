"""Embeddings of a large batch in the memory of a small one, with the exact gradient.

A contrastive loss looks at a whole batch at once, but the encoder does not: only the embeddings
must be together. So the batch is encoded in chunks whose activations are thrown away, and each
chunk is encoded again, with the same dropout, when its gradient is due.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

Chunk = TypeVar("Chunk")


def encode_in_chunks(
    encode: Callable[[Chunk], Tensor],
    chunks: Sequence[Chunk],
    device: torch.device | str | None = None,
) -> Tensor:
    """Encode a batch chunk by chunk, keeping the activations of one chunk at a time.

    What comes back is used like the embeddings of a batch that was encoded at once, by any loss and
    any trainer: ``loss.backward()`` encodes each chunk again. The gradients are those of the whole
    batch, for two forward passes in place of one.

    Parameters
    ----------
    encode : callable
        ``encode(chunk)`` returns the embeddings of a chunk, shape (items of the chunk, d). It must
        do the same in both passes, but for random numbers of torch's global generators, which are
        put back. State that it changes, such as the statistics of batch normalization, is changed
        twice.
    chunks : sequence
        The batch, cut as the caller likes: dictionaries of tensors, lists of texts. Chunks of equal
        numbers of tokens use memory best. One chunk alone is encoded once, as usual.
    device : torch.device, str or None, default=None
        The device whose random numbers are put back besides those of the CPU. None finds it from
        the tensors in a chunk; pass it if chunks have none, or have them elsewhere.

    Returns
    -------
    torch.Tensor, shape (items, d)
        Embeddings of all chunks, in order.

    Raises
    ------
    ValueError
        If there are no chunks.

    Notes
    -----
    This is the gradient cache of the paper, done by torch's own checkpointing, whose segments are
    the chunks. sentence-transformers has one as well, inside of its ``Cached`` losses: it reads the
    features of a SentenceTransformer, serves losses that are written for it, and has moved between
    the versions that this package takes. Checkpointing takes any encoder and any loss, and lets
    other parameters of the loss, such as prototypes, have their gradient in the same pass.

    Without gradients (``torch.no_grad``), each chunk is encoded once.

    References
    ----------
    L. Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup",
    RepL4NLP 2021.

    Examples
    --------
    >>> layer = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Dropout(0.5))
    >>> embeddings = encode_in_chunks(layer, torch.eye(3).split(2))
    >>> (embeddings @ embeddings.T).sum().backward()
    >>> layer[0].weight.grad.shape
    torch.Size([2, 3])
    """
    if not len(chunks):
        raise ValueError("chunks are empty: pass at least one.")
    if len(chunks) == 1 or not torch.is_grad_enabled():
        return torch.cat([encode(chunk) for chunk in chunks])
    return torch.cat([_encoded_twice(encode, chunk, device) for chunk in chunks])


def _encoded_twice(
    encode: Callable[[Chunk], Tensor], chunk: Chunk, device: torch.device | str | None
) -> Tensor:
    if device is None:
        embeddings: Tensor = checkpoint(encode, chunk, use_reentrant=False)
        return embeddings
    # Checkpointing asks the arguments which devices there are.
    guide = torch.empty(0, device=device)
    guided: Tensor = checkpoint(lambda part, _: encode(part), chunk, guide, use_reentrant=False)
    return guided
