"""Query strategies and classifiers for small-text: large pools, rare classes, noisy labels.

Every public name is loaded at its first use, so that ``import small_text_ext`` loads neither torch
nor transformers.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from small_text_ext.classifiers.cartography import (
        CartographyClassification,
        CartographyClassificationFactory,
        noise_queue,
    )
    from small_text_ext.classifiers.crossfit import crossfit_dynamics, find_label_noise
    from small_text_ext.classifiers.mlp import (
        MLPClassification,
        MLPClassificationFactory,
        MLPModelArguments,
    )
    from small_text_ext.classifiers.pretrained import TransformerArguments
    from small_text_ext.classifiers.transformer import (
        TransformerClassification,
        TransformerClassificationFactory,
    )
    from small_text_ext.datasets import TextPairDataset
    from small_text_ext.pool.embeddings import PoolEmbeddings
    from small_text_ext.pool.indexes import ExactIndex, HNSWIndex
    from small_text_ext.query_strategies.anchoral import AnchorAL
    from small_text_ext.query_strategies.cartography import (
        CartographyActiveLearning,
        CartographyFilter,
        DynamicsUncertainty,
    )
    from small_text_ext.query_strategies.seals import SEALS
    from small_text_ext.query_strategies.subpool import RandomSubset
    from small_text_ext.training.dynamics import (
        DynamicsRecorder,
        HeldOutRecorder,
        TrainingDynamics,
    )
    from small_text_ext.training.trainer import SelectiveTrainer

__version__ = "0.1.0"

_EXPORTS = {
    "AnchorAL": "query_strategies.anchoral",
    "CartographyActiveLearning": "query_strategies.cartography",
    "CartographyClassification": "classifiers.cartography",
    "CartographyClassificationFactory": "classifiers.cartography",
    "CartographyFilter": "query_strategies.cartography",
    "DynamicsRecorder": "training.dynamics",
    "DynamicsUncertainty": "query_strategies.cartography",
    "ExactIndex": "pool.indexes",
    "HNSWIndex": "pool.indexes",
    "HeldOutRecorder": "training.dynamics",
    "MLPClassification": "classifiers.mlp",
    "MLPClassificationFactory": "classifiers.mlp",
    "MLPModelArguments": "classifiers.mlp",
    "PoolEmbeddings": "pool.embeddings",
    "RandomSubset": "query_strategies.subpool",
    "SEALS": "query_strategies.seals",
    "SelectiveTrainer": "training.trainer",
    "TextPairDataset": "datasets",
    "TrainingDynamics": "training.dynamics",
    "TransformerArguments": "classifiers.pretrained",
    "TransformerClassification": "classifiers.transformer",
    "TransformerClassificationFactory": "classifiers.transformer",
    "crossfit_dynamics": "classifiers.crossfit",
    "find_label_noise": "classifiers.crossfit",
    "noise_queue": "classifiers.cartography",
}

__all__ = [
    "SEALS",
    "AnchorAL",
    "CartographyActiveLearning",
    "CartographyClassification",
    "CartographyClassificationFactory",
    "CartographyFilter",
    "DynamicsRecorder",
    "DynamicsUncertainty",
    "ExactIndex",
    "HNSWIndex",
    "HeldOutRecorder",
    "MLPClassification",
    "MLPClassificationFactory",
    "MLPModelArguments",
    "PoolEmbeddings",
    "RandomSubset",
    "SelectiveTrainer",
    "TextPairDataset",
    "TrainingDynamics",
    "TransformerArguments",
    "TransformerClassification",
    "TransformerClassificationFactory",
    "crossfit_dynamics",
    "find_label_noise",
    "noise_queue",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_EXPORTS[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
