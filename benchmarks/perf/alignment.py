"""``perf alignment``: the loss against a double loop, chunks against a batch, and memories."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import Tensor

from benchmarks.datasets import keep_classes, limit_texts, load_texts
from benchmarks.encoders import resolve_encoder
from benchmarks.memory import peak_memory
from benchmarks.perf.shared import (
    REPEATS_HEADING,
    Target,
    console,
    make_table,
    ratios,
    spread,
    synchronize,
    target_table,
    write_measurement,
)
from small_text_ext.training.contrastive import cosine_mse_loss
from small_text_ext.training.gradient_cache import encode_in_chunks

_DIMENSIONS, _CLASSES = 256, 50
_CHUNKED_BATCH, _CHUNK = 96, 16
_FIT_BATCH, _FIT_LENGTH = 32, 64
_MEMORIES = ("none", "ring", "datapoint")

Say = Callable[[str], object]


@dataclass
class LossTimings:
    """The loss of all pairs and its gradient, ours and a double loop over the pairs.

    Parameters
    ----------
    fused, looped : list of float
        Seconds of loss and gradient, repeat by repeat.
    difference : float
        The largest difference of loss and gradient in float64, relative to the largest value.
    """

    fused: list[float] = field(default_factory=list)
    looped: list[float] = field(default_factory=list)
    difference: float = 0.0


@dataclass
class ChunkTimings:
    """A batch as a whole and in chunks, through a small network in float64.

    Parameters
    ----------
    whole, chunked : list of float
        Seconds of loss and gradient, repeat by repeat.
    difference : float
        The largest difference of the parameters' gradients, relative to the largest one.
    """

    whole: list[float] = field(default_factory=list)
    chunked: list[float] = field(default_factory=list)
    difference: float = 0.0


def alignment(
    dataset: Annotated[str, typer.Option(help="Whose texts.")] = "debian-sections",
    texts: Annotated[int, typer.Option(min=64, help="Texts of a fit.")] = 640,
    classes: Annotated[int, typer.Option(min=2, help="Classes, the most common ones.")] = 50,
    model: Annotated[str, typer.Option(help="minilm, a folder, or a name on the hub.")] = "minilm",
    batch: Annotated[int, typer.Option(min=4, help="Embeddings of the loss.")] = 128,
    repeats: Annotated[int, typer.Option(min=1, help="Of everything, in turn.")] = 3,
    out: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
) -> None:
    """Measure what aligning an encoder costs: loss, chunks, and the memory of each memory."""
    folder = resolve_encoder(model).folder
    with console.status("preparing") as status:
        losses = measure_loss(batch, repeats, status.update)
        chunks = measure_chunks(repeats, status.update)
        memory = measure_memories(
            folder, *_drawn(dataset, texts, classes), repeats=repeats, say=status.update
        )
    console.print(loss_table(losses, chunks))
    console.print(memory_table(memory))
    targets = alignment_targets(losses, chunks, memory)
    console.print(target_table(targets))
    write_measurement(
        out,
        {
            "settings": {"dataset": dataset, "texts": texts, "classes": classes, "model": model}
            | {"batch": batch, "repeats": repeats},
            "loss": asdict(losses),
            "chunks": asdict(chunks),
            "megabytes": memory,
            "targets": [target.as_json() for target in targets],
        },
    )


def looped_loss(embeddings: Tensor, labels: Tensor) -> Tensor:
    """Return the loss of all pairs by a double loop, as a reader would write it down."""
    total = embeddings.new_zeros(())
    for i in range(len(embeddings)):
        for j in range(len(embeddings)):
            if i != j:
                cosine = torch.cosine_similarity(embeddings[i], embeddings[j], dim=0)
                total = total + (cosine - float(labels[i] == labels[j])) ** 2
    return total


def measure_loss(batch: int, repeats: int, say: Say) -> LossTimings:
    """Time the loss of a batch with its gradient, both sides in turn within each repeat.

    Parameters
    ----------
    batch : int
        Embeddings.
    repeats : int
        How often.
    say : callable
        Told what is being timed.

    Returns
    -------
    LossTimings
        In float64.
    """
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(batch, _DIMENSIONS, generator=generator, dtype=torch.float64)
    labels = torch.randint(_CLASSES, (batch,), generator=generator)
    timings = LossTimings()
    # The first call of each warms up, on a few rows of the loop.
    _value_and_gradient(cosine_mse_loss, vectors, labels)
    _value_and_gradient(looped_loss, vectors[:4], labels[:4])
    for repeat in range(repeats):
        say(f"loss: repeat {repeat + 1} of {repeats}")
        fused, ours = _value_and_gradient(cosine_mse_loss, vectors, labels)
        looped, theirs = _value_and_gradient(looped_loss, vectors, labels)
        timings.fused.append(fused)
        timings.looped.append(looped)
        timings.difference = max(timings.difference, _relative_difference(ours, theirs))
    return timings


def _value_and_gradient(
    loss: Callable[[Tensor, Tensor], Tensor], vectors: Tensor, labels: Tensor
) -> tuple[float, list[Tensor]]:
    embeddings = vectors.clone().requires_grad_()
    start = time.perf_counter()
    value = loss(embeddings, labels)
    (gradient,) = torch.autograd.grad(value, embeddings)
    return time.perf_counter() - start, [value.detach(), gradient]


def _relative_difference(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> float:
    return max(
        float((a - b).abs().max() / b.abs().max()) for a, b in zip(ours, theirs, strict=True)
    )


def measure_chunks(repeats: int, say: Say) -> ChunkTimings:
    """Compare the gradient of a batch that is encoded whole with that of one encoded in chunks.

    Parameters
    ----------
    repeats : int
        How often.
    say : callable
        Told what is being timed.

    Returns
    -------
    ChunkTimings
        Through two layers in float64, since single precision rounds otherwise in other batches.
    """
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(_CHUNKED_BATCH, _DIMENSIONS, generator=generator, dtype=torch.float64)
    labels = torch.randint(_CLASSES, (_CHUNKED_BATCH,), generator=generator)
    layers = [torch.nn.Linear(_DIMENSIONS, _DIMENSIONS, dtype=torch.float64) for _ in range(2)]
    network = torch.nn.Sequential(layers[0], torch.nn.Tanh(), layers[1])
    parts = [inputs[start : start + _CHUNK] for start in range(0, len(inputs), _CHUNK)]
    timings = ChunkTimings()
    for repeat in range(repeats):
        say(f"chunks: repeat {repeat + 1} of {repeats}")
        whole, theirs = _network_gradient(network, [inputs], labels)
        chunked, ours = _network_gradient(network, parts, labels)
        timings.whole.append(whole)
        timings.chunked.append(chunked)
        timings.difference = max(timings.difference, _relative_difference(ours, theirs))
    return timings


def _network_gradient(
    network: torch.nn.Module, chunks: list[Tensor], labels: Tensor
) -> tuple[float, list[Tensor]]:
    start = time.perf_counter()
    embeddings = encode_in_chunks(network, chunks, torch.device("cpu"))
    loss = cosine_mse_loss(embeddings, labels)
    found = torch.autograd.grad(loss, list(network.parameters()))
    return time.perf_counter() - start, list(found)


def _drawn(dataset: str, num_texts: int, num_classes: int) -> tuple[list[str], list[int]]:
    """Draw texts of the most common classes, the same ones every time."""
    everything = load_texts(dataset)
    counts = everything.counts()
    common = sorted(counts, key=lambda name: (-counts[name], name))[:num_classes]
    drawn = limit_texts(keep_classes(everything, common), num_texts)
    return list(drawn.texts), drawn.labels.tolist()


def measure_memories(
    folder: str, texts: list[str], labels: list[int], *, repeats: int, say: Say
) -> dict[str, list[float]]:
    """Fit with each memory, each fit in a process of its own, and note the most that it held.

    Parameters
    ----------
    folder : str
        The checkpoint.
    texts : list of str
        What is fitted on: one epoch of all pairs of random batches of 32.
    labels : list of int
        Their classes.
    repeats : int
        How often.
    say : callable
        Told what is being measured.

    Returns
    -------
    dict of str to list of float
        By memory: megabytes above what the process held before, repeat by repeat; empty where the
        system does not tell.
    """
    found: dict[str, list[float]] = {name: [] for name in _MEMORIES}
    # A process that has fitted before would not be seen to take what it still holds.
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as processes:
        for repeat in range(repeats):
            for name in _MEMORIES:
                say(f"memory '{name}': repeat {repeat + 1} of {repeats}")
                future = processes.submit(fit_megabytes, folder, texts, labels, name)
                megabytes = future.result()
                if megabytes is not None:
                    found[name].append(megabytes)
    return found


def fit_megabytes(
    folder: str, texts: list[str], labels: list[int], memory: str, batch_size: int = _FIT_BATCH
) -> float | None:
    """Fit once, and return the most that the fit held above what was held before."""
    import numpy as np
    from small_text import TextDataset

    from small_text_ext import EmbeddingAlignmentClassification, TransformerArguments

    classes = max(labels) + 1
    options: Mapping[str, Any] = {
        "loss": "cosine_mse",
        "pairs": "all",
        "memory": memory,
        "memory_warm_start": 0,
        "batches": "random",
        "batch_size": batch_size,
        "num_epochs": 1,
        "precision": "float32",
        "show_progress": False,
        "seed": 0,
    }
    arguments = TransformerArguments(folder, max_length=_FIT_LENGTH)
    classifier = EmbeddingAlignmentClassification(arguments, classes, **options)
    data_set = TextDataset(texts, np.array(labels), target_labels=np.arange(classes))
    with peak_memory() as found:
        classifier.fit(data_set)
    synchronize()
    return found.megabytes


def loss_table(losses: LossTimings, chunks: ChunkTimings) -> Any:  # noqa: ANN401 - rich's
    """Return the milliseconds of loss and chunks."""
    rows = [
        (name, spread([1e3 * value for value in seconds], 2))
        for name, seconds in (
            ("loss of all pairs, one matrix product", losses.fused),
            ("loss of all pairs, double loop", losses.looped),
            ("batch as a whole", chunks.whole),
            ("batch in chunks", chunks.chunked),
        )
    ]
    return make_table(f"loss and gradient: {REPEATS_HEADING}", ("what", "ms"), rows)


def memory_table(megabytes: Mapping[str, Sequence[float]]) -> Any:  # noqa: ANN401 - rich's
    """Return the peak memory of each memory."""
    rows = [(name, spread(values, 0)) for name, values in megabytes.items() if values]
    return make_table(f"peak memory of a fit: {REPEATS_HEADING}", ("memory", "MB"), rows)


def alignment_targets(
    losses: LossTimings, chunks: ChunkTimings, megabytes: Mapping[str, Sequence[float]]
) -> list[Target]:
    """Return what is asked for beside what was measured."""
    reason = "the system does not tell how much memory a process holds"
    none = megabytes["none"]
    over_none = {
        name: ratios(megabytes[name], none) for name in _MEMORIES if none and megabytes[name]
    }
    return [
        Target(
            "loss and gradient against a double loop, relative difference",
            (losses.difference,),
            at_most=1e-10,
            digits=None,
        ),
        Target(
            "seconds of the double loop over ours",
            ratios(losses.looped, losses.fused),
            at_least=100,
            digits=0,
        ),
        Target(
            "gradients in chunks against one batch, relative difference",
            (chunks.difference,),
            at_most=1e-6,
            digits=None,
        ),
        Target(
            "peak memory, ring buffer over no memory",
            over_none.get("ring", ()),
            at_most=1.1,
            reason=reason,
        ),
        Target(
            "peak memory, texts encoded again over no memory",
            over_none.get("datapoint", ()),
            reason=reason,
        ),
    ]
