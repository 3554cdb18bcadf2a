"""Query strategies and classifiers for small-text: large pools, rare classes, noisy labels.

Every public name is loaded at its first use, so that ``import small_text_ext`` loads neither torch
nor transformers.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from small_text_ext.classifiers.alignment import (
        EmbeddingAlignmentClassification,
        EmbeddingAlignmentClassificationFactory,
    )
    from small_text_ext.classifiers.cartography import (
        CartographyClassification,
        CartographyClassificationFactory,
        noise_queue,
    )
    from small_text_ext.classifiers.core_sets import (
        CoreSetClassification,
        CoreSetClassificationFactory,
        core_set,
    )
    from small_text_ext.classifiers.crossfit import crossfit_dynamics, find_label_noise
    from small_text_ext.classifiers.frozen import frozen_embeddings
    from small_text_ext.classifiers.knn import knn_evaluate
    from small_text_ext.classifiers.mlp import (
        MLPClassification,
        MLPClassificationFactory,
        MLPModelArguments,
    )
    from small_text_ext.classifiers.pretrained import TransformerArguments
    from small_text_ext.classifiers.reducible_loss import (
        CrossFitIrreducibleLoss,
        HoldOutIrreducibleLoss,
        KnownIrreducibleLoss,
        ReducibleLossClassification,
        ReducibleLossClassificationFactory,
    )
    from small_text_ext.classifiers.transformer import (
        LoRATransformerClassificationFactory,
        TransformerClassification,
        TransformerClassificationFactory,
    )
    from small_text_ext.datasets import TextPairDataset
    from small_text_ext.pool.embeddings import PoolEmbeddings
    from small_text_ext.pool.indexes import ExactIndex, HNSWIndex
    from small_text_ext.query_strategies.alignment import (
        KNNEntropy,
        KNNMargin,
        LabeledContrastiveActiveLearning,
        PrototypeDisagreement,
        PrototypeGap,
    )
    from small_text_ext.query_strategies.anchoral import AnchorAL
    from small_text_ext.query_strategies.badge import BADGE
    from small_text_ext.query_strategies.cartography import (
        CartographyActiveLearning,
        CartographyFilter,
        DynamicsUncertainty,
    )
    from small_text_ext.query_strategies.diversity import (
        FacilityLocation,
        KCenterGreedy,
        TypiClust,
    )
    from small_text_ext.query_strategies.kmeans import FineTunedKMeans
    from small_text_ext.query_strategies.reducible_loss import EPIG, ExpectedReducibleLoss
    from small_text_ext.query_strategies.seals import SEALS
    from small_text_ext.query_strategies.subpool import RandomSubset
    from small_text_ext.training.dynamics import (
        DynamicsRecorder,
        HeldOutRecorder,
        TrainingDynamics,
    )
    from small_text_ext.training.irreducible_loss import (
        IrreducibleLosses,
        irreducible_losses,
        item_keys,
    )
    from small_text_ext.training.online_selection import ScoreSelector
    from small_text_ext.training.side_models import EncoderSideModel, HeadSideModel
    from small_text_ext.training.trainer import SelectiveTrainer

__version__ = "0.1.0"

_EXPORTS = {
    "AnchorAL": "query_strategies.anchoral",
    "BADGE": "query_strategies.badge",
    "CartographyActiveLearning": "query_strategies.cartography",
    "CartographyClassification": "classifiers.cartography",
    "CartographyClassificationFactory": "classifiers.cartography",
    "CartographyFilter": "query_strategies.cartography",
    "CoreSetClassification": "classifiers.core_sets",
    "CoreSetClassificationFactory": "classifiers.core_sets",
    "CrossFitIrreducibleLoss": "classifiers.reducible_loss",
    "DynamicsRecorder": "training.dynamics",
    "DynamicsUncertainty": "query_strategies.cartography",
    "EmbeddingAlignmentClassification": "classifiers.alignment",
    "EmbeddingAlignmentClassificationFactory": "classifiers.alignment",
    "EncoderSideModel": "training.side_models",
    "EPIG": "query_strategies.reducible_loss",
    "ExactIndex": "pool.indexes",
    "ExpectedReducibleLoss": "query_strategies.reducible_loss",
    "FacilityLocation": "query_strategies.diversity",
    "FineTunedKMeans": "query_strategies.kmeans",
    "HNSWIndex": "pool.indexes",
    "HeadSideModel": "training.side_models",
    "HeldOutRecorder": "training.dynamics",
    "HoldOutIrreducibleLoss": "classifiers.reducible_loss",
    "IrreducibleLosses": "training.irreducible_loss",
    "KCenterGreedy": "query_strategies.diversity",
    "KNNEntropy": "query_strategies.alignment",
    "KNNMargin": "query_strategies.alignment",
    "KnownIrreducibleLoss": "classifiers.reducible_loss",
    "LoRATransformerClassificationFactory": "classifiers.transformer",
    "LabeledContrastiveActiveLearning": "query_strategies.alignment",
    "MLPClassification": "classifiers.mlp",
    "MLPClassificationFactory": "classifiers.mlp",
    "MLPModelArguments": "classifiers.mlp",
    "PoolEmbeddings": "pool.embeddings",
    "PrototypeDisagreement": "query_strategies.alignment",
    "PrototypeGap": "query_strategies.alignment",
    "RandomSubset": "query_strategies.subpool",
    "ReducibleLossClassification": "classifiers.reducible_loss",
    "ReducibleLossClassificationFactory": "classifiers.reducible_loss",
    "SEALS": "query_strategies.seals",
    "ScoreSelector": "training.online_selection",
    "SelectiveTrainer": "training.trainer",
    "TextPairDataset": "datasets",
    "TrainingDynamics": "training.dynamics",
    "TransformerArguments": "classifiers.pretrained",
    "TransformerClassification": "classifiers.transformer",
    "TransformerClassificationFactory": "classifiers.transformer",
    "TypiClust": "query_strategies.diversity",
    "core_set": "classifiers.core_sets",
    "crossfit_dynamics": "classifiers.crossfit",
    "find_label_noise": "classifiers.crossfit",
    "irreducible_losses": "training.irreducible_loss",
    "item_keys": "training.irreducible_loss",
    "frozen_embeddings": "classifiers.frozen",
    "knn_evaluate": "classifiers.knn",
    "noise_queue": "classifiers.cartography",
}

__all__ = [
    "BADGE",
    "EPIG",
    "SEALS",
    "AnchorAL",
    "CartographyActiveLearning",
    "CartographyClassification",
    "CartographyClassificationFactory",
    "CartographyFilter",
    "CoreSetClassification",
    "CoreSetClassificationFactory",
    "CrossFitIrreducibleLoss",
    "DynamicsRecorder",
    "DynamicsUncertainty",
    "EmbeddingAlignmentClassification",
    "EmbeddingAlignmentClassificationFactory",
    "EncoderSideModel",
    "ExactIndex",
    "ExpectedReducibleLoss",
    "FacilityLocation",
    "FineTunedKMeans",
    "HNSWIndex",
    "HeadSideModel",
    "HeldOutRecorder",
    "HoldOutIrreducibleLoss",
    "IrreducibleLosses",
    "KCenterGreedy",
    "KNNEntropy",
    "KNNMargin",
    "KnownIrreducibleLoss",
    "LabeledContrastiveActiveLearning",
    "LoRATransformerClassificationFactory",
    "MLPClassification",
    "MLPClassificationFactory",
    "MLPModelArguments",
    "PoolEmbeddings",
    "PrototypeDisagreement",
    "PrototypeGap",
    "RandomSubset",
    "ReducibleLossClassification",
    "ReducibleLossClassificationFactory",
    "ScoreSelector",
    "SelectiveTrainer",
    "TextPairDataset",
    "TrainingDynamics",
    "TransformerArguments",
    "TransformerClassification",
    "TransformerClassificationFactory",
    "TypiClust",
    "core_set",
    "crossfit_dynamics",
    "find_label_noise",
    "frozen_embeddings",
    "irreducible_losses",
    "item_keys",
    "knn_evaluate",
    "noise_queue",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_EXPORTS[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
