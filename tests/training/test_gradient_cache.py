"""Gradients of a batch in chunks are those of the batch at once, dropout included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from small_text_ext.training.contrastive import (
    cosine_mse_loss,
    prototype_loss,
    supervised_contrastive_loss,
)
from small_text_ext.training.contrastive_memory import References
from small_text_ext.training.gradient_cache import encode_in_chunks

LABELS = torch.arange(30) % 4


def encoder(dropout: float) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 8), nn.Dropout(dropout)
    ).double()


def inputs() -> Tensor:
    return torch.randn(30, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def cut(size: int) -> list[Tensor]:
    return [inputs()[start : start + size] for start in range(0, 30, size)]


def gradients(model: nn.Module, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(model.parameters())))


@pytest.mark.parametrize("loss", [cosine_mse_loss, supervised_contrastive_loss, prototype_loss])
@pytest.mark.parametrize("size", [7, 1, 29])
def test_chunks_have_the_gradient_of_the_batch(
    loss: Callable[[Tensor, Tensor], Tensor], size: int
) -> None:
    """One pass with dropout, whose masks are drawn chunk by chunk in either case."""
    model, chunks = encoder(dropout=0.3), cut(size)
    torch.manual_seed(2)
    at_once = loss(torch.cat([model(chunk) for chunk in chunks]), LABELS)
    after = torch.rand(3)
    expected = gradients(model, at_once)
    torch.manual_seed(2)
    cached = loss(encode_in_chunks(model, chunks), LABELS)
    assert torch.equal(torch.rand(3), after)
    torch.rand(100)  # Whatever is drawn in between, the second pass drops the same units.
    assert torch.equal(cached, at_once)
    for ours, theirs in zip(gradients(model, cached), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
        assert theirs.abs().max() > 1e-4


def test_without_dropout_the_batch_need_not_be_cut() -> None:
    model = encoder(dropout=0.0)
    expected = gradients(model, cosine_mse_loss(model(inputs()), LABELS))
    cached = cosine_mse_loss(encode_in_chunks(model, cut(4)), LABELS)
    for ours, theirs in zip(gradients(model, cached), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def test_the_backward_pass_leaves_the_random_state_alone() -> None:
    model = encoder(dropout=0.3)
    loss = cosine_mse_loss(encode_in_chunks(model, cut(7), device="cpu"), LABELS)
    state = torch.get_rng_state()
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.equal(torch.get_rng_state(), state)


class _Noted(torch.autograd.Function):
    """Notes when a chunk goes forward and backward."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, chunk: int, events: list[str]) -> Tensor:  # noqa: ANN401
        ctx.chunk, ctx.events = chunk, events
        events.append(f"forward {chunk}")
        ctx.save_for_backward(values)
        return values.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        _ = ctx.saved_tensors
        ctx.events.append(f"backward {ctx.chunk}")
        return gradients[0], None, None


def test_one_chunk_is_alive_at_a_time() -> None:
    model, events = encoder(dropout=0.1), list[str]()
    chunks = list(enumerate(cut(10)))

    def encode(chunk: tuple[int, Tensor]) -> Tensor:
        hidden: Tensor = _Noted.apply(model[0](chunk[1]), chunk[0], events)  # type: ignore[no-untyped-call]
        embeddings: Tensor = model[1:](hidden)
        return embeddings

    loss = cosine_mse_loss(encode_in_chunks(encode, chunks), LABELS)
    assert events == [f"forward {chunk}" for chunk in range(3)]
    events.clear()
    loss.backward()  # type: ignore[no-untyped-call]
    assert events == [
        f"{direction} {chunk}" for chunk in (2, 1, 0) for direction in ("forward", "backward")
    ]


def test_chunks_may_be_anything() -> None:
    """Here dictionaries, as tokenizers make them, and lists of texts, with a memory and others."""
    table = nn.Embedding(9, 4)
    prototypes = nn.Parameter(torch.randn(3, 4))
    stored = References(torch.randn(2, 4), torch.tensor([0, 1]))

    def of_tokens(chunk: dict[str, Tensor]) -> Tensor:
        vectors: Tensor = table(chunk["input_ids"]).mean(dim=1)
        return vectors

    def of_texts(chunk: list[str]) -> Tensor:
        return of_tokens({"input_ids": torch.tensor([[int(c) for c in text] for text in chunk])})

    texts = [["012", "345"], ["678"]]
    ids = [torch.tensor([[0, 1, 2], [3, 4, 5]]), torch.tensor([[6, 7, 8]])]
    tokens = [{"input_ids": rows} for rows in ids]
    found = []
    for embeddings in (encode_in_chunks(of_tokens, tokens), encode_in_chunks(of_texts, texts)):
        labels = torch.tensor([0, 1, 0])
        loss = supervised_contrastive_loss(embeddings, labels, memory=stored)
        loss = loss + prototype_loss(embeddings, labels, prototypes)
        found.append(torch.autograd.grad(loss, [table.weight, prototypes]))
    for ours, theirs in zip(*found, strict=True):
        assert ours.abs().max() > 0
        torch.testing.assert_close(ours, theirs)


def test_without_a_gradient_or_with_one_chunk_each_is_encoded_once() -> None:
    calls: list[int] = []
    weight = torch.ones(6, 2, dtype=torch.float64, requires_grad=True)

    def encode(chunk: Tensor) -> Tensor:
        calls.append(len(chunk))
        return chunk @ weight

    with torch.no_grad():
        assert encode_in_chunks(encode, cut(20)).shape == (30, 2)
    encode_in_chunks(encode, [inputs()]).sum().backward()  # type: ignore[no-untyped-call]
    assert calls == [20, 10, 30]
    encode_in_chunks(encode, [inputs()[:20], inputs()[20:]]).square().sum().backward()  # type: ignore[no-untyped-call]
    assert calls == [20, 10, 30, 20, 10, 10, 20]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_random_state_of_a_named_gpu_is_put_back() -> None:
    """Texts say nothing of the device that they are encoded on."""
    model = encoder(dropout=0.5).cuda()

    def encode(rows: list[list[float]]) -> Tensor:
        embeddings: Tensor = model(torch.tensor(rows, dtype=torch.float64, device="cuda"))
        return embeddings

    chunks = [inputs()[:15].tolist(), inputs()[15:].tolist()]
    torch.manual_seed(2)
    labels = LABELS.cuda()
    at_once = cosine_mse_loss(torch.cat([encode(chunk) for chunk in chunks]), labels)
    torch.manual_seed(2)
    cached = cosine_mse_loss(encode_in_chunks(encode, chunks, device="cuda"), labels)
    expected = gradients(model, at_once)
    for ours, theirs in zip(gradients(model, cached), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def test_no_chunks_are_an_error() -> None:
    with pytest.raises(ValueError, match="chunks are empty"):
        encode_in_chunks(lambda chunk: chunk, [])
