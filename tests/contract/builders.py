"""How to make one of each public class: the one place to touch when a class is added.

A class name maps to configurations by name. The checks know nothing of the classes; a public
class without an entry here fails the harness.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from small_text import (
    BreakingTies,
    EmbeddingKMeans,
    LeastConfidence,
    PredictionEntropy,
    QueryStrategy,
    RandomSampling,
    SklearnDataset,
    TextDataset,
)

from small_text_ext import (
    BADGE,
    EPIG,
    SEALS,
    AnchorAL,
    CartographyActiveLearning,
    CartographyClassification,
    CartographyClassificationFactory,
    CartographyFilter,
    CoreSetClassification,
    CoreSetClassificationFactory,
    DynamicsUncertainty,
    EmbeddingAlignmentClassification,
    EmbeddingAlignmentClassificationFactory,
    ExactIndex,
    ExpectedReducibleLoss,
    FacilityLocation,
    FineTunedKMeans,
    HNSWIndex,
    KCenterGreedy,
    KNNEntropy,
    KNNMargin,
    LabeledContrastiveActiveLearning,
    LoRATransformerClassificationFactory,
    MLPClassification,
    MLPClassificationFactory,
    MLPModelArguments,
    PrototypeDisagreement,
    PrototypeGap,
    RandomSubset,
    ReducibleLossClassification,
    ReducibleLossClassificationFactory,
    TextPairDataset,
    TransformerArguments,
    TransformerClassification,
    TransformerClassificationFactory,
    TypiClust,
)
from small_text_ext._random import Seed
from tests.contract.cases import ClassifierCase, FactoryCase, IndexCase, StrategyCase
from tests.contract.scenarios import (
    NUM_CLASSES,
    RARE_CLASS,
    Context,
    clustered_vectors,
    texts_of_vectors,
)
from tests.tiny_models import HIDDEN_SIZE, checkpoint

# Filters a pool of 600: with the published size the whole pool would be the subpool.
SMALL: dict[str, Any] = {"num_anchors": 3, "num_neighbors": 8, "subpool_size": 60}


def anchoral(
    base: Callable[[], QueryStrategy] = LeastConfidence,
    **options: Any,  # noqa: ANN401
) -> Callable[[Context], QueryStrategy]:
    """Return a builder of AnchorAL with some options other than ``SMALL``'s."""

    def build(context: Context) -> QueryStrategy:
        return AnchorAL(base(), context.embeddings, **{**SMALL, **options}, seed=context.seed)

    return build


def seals(
    base: Callable[[], QueryStrategy] = LeastConfidence,
    **options: Any,  # noqa: ANN401
) -> Callable[[Context], QueryStrategy]:
    """Return a builder of SEALS on a small subpool."""
    small = {"num_neighbors": 4, "subpool_size": 60, **options}
    return lambda context: SEALS(base(), context.embeddings, **small, seed=context.seed)


def random_subset(
    base: Callable[[], QueryStrategy] = LeastConfidence,
) -> Callable[[Context], QueryStrategy]:
    """Return a builder of a random subset of 60."""
    return lambda context: RandomSubset(base(), 60, seed=context.seed)


def matched_subset(context: Context) -> QueryStrategy:
    """Return a random subset as large as AnchorAL's subpool."""
    return RandomSubset(LeastConfidence(), anchoral()(context), seed=context.seed)


def cartography_filter(
    base: Callable[[], QueryStrategy] = LeastConfidence,
    frozen: bool = True,
    **options: Any,  # noqa: ANN401
) -> Callable[[Context], QueryStrategy]:
    """Return a builder of a filter by predicted confidence, on frozen vectors or the model's.

    Of the pool's hard texts, those of the rare class, nothing is left within their class.
    """
    options = {"within_classes": False, **options}

    def build(context: Context) -> QueryStrategy:
        embeddings = context.embeddings if frozen else None
        return CartographyFilter(base(), embeddings, **options, seed=context.seed)

    return build


def filtered_anchoral(context: Context) -> QueryStrategy:
    """Return AnchorAL on what a filter leaves."""
    base = AnchorAL(LeastConfidence(), context.embeddings, **SMALL)
    return CartographyFilter(base, context.embeddings, within_classes=False, seed=context.seed)


def anchored_filter(context: Context) -> QueryStrategy:
    """Return a filter of AnchorAL's subpool."""
    base = CartographyFilter(LeastConfidence(), context.embeddings, within_classes=False)
    return AnchorAL(base, context.embeddings, **SMALL, seed=context.seed)


def cartography_learning(
    frozen: bool = True,
    **options: Any,  # noqa: ANN401
) -> Callable[[Context], QueryStrategy]:
    """Return a builder of CAL, on frozen vectors or the model's."""

    def build(context: Context) -> QueryStrategy:
        embeddings = context.embeddings if frozen else None
        return CartographyActiveLearning(embeddings, **options, seed=context.seed)

    return build


def dynamics_uncertainty(measure: Any, frozen: bool) -> Callable[[Context], QueryStrategy]:  # noqa: ANN401
    """Return a builder of a measure, on frozen vectors or the model's."""

    def build(context: Context) -> QueryStrategy:
        embeddings = context.embeddings if frozen else None
        return DynamicsUncertainty(measure, embeddings, seed=context.seed)

    return build


def heads(multi_label: bool) -> MLPClassificationFactory:
    """Return a factory of heads on frozen vectors that fit in some milliseconds."""
    options: dict[str, Any] = {"multi_label": multi_label, "num_epochs": 5, "seed": 0}
    return MLPClassificationFactory(MLPModelArguments(), NUM_CLASSES, options)


def zero_shot(context: Context) -> Any:  # noqa: ANN401
    """Return probabilities of every text that nobody was taught: near the truth, and unsure."""
    y = context.y
    truth = np.eye(NUM_CLASSES)[y] if isinstance(y, np.ndarray) else y.toarray()
    doubt = np.random.default_rng(3).dirichlet(np.ones(NUM_CLASSES), len(truth))
    return 0.7 * truth + 0.3 * doubt


def expected_loss(
    informed: Callable[[Context], Any] = lambda context: None,
    frozen: bool = True,
    **options: Any,  # noqa: ANN401
) -> Callable[[Context], QueryStrategy]:
    """Return a builder of expected reducible loss, with frozen vectors or without."""

    def build(context: Context) -> QueryStrategy:
        embeddings = context.embeddings if frozen else None
        return ExpectedReducibleLoss(informed(context), embeddings, **options, seed=context.seed)

    return build


def epig(frozen: bool = True, **options: Any) -> Callable[[Context], QueryStrategy]:  # noqa: ANN401
    """Return a builder of EPIG with few members and targets."""
    small = {"num_members": 3, "num_targets": 40, **options}

    def build(context: Context) -> QueryStrategy:
        return EPIG(context.embeddings if frozen else None, **small, seed=context.seed)

    return build


def diverse(
    strategy: type[QueryStrategy],
    **options: Any,  # noqa: ANN401
) -> Callable[[Context], QueryStrategy]:
    """Return a builder of a strategy that picks a diverse set of the frozen vectors."""
    return lambda context: strategy(context.embeddings, **options, seed=context.seed)


def anchored_k_center(context: Context) -> QueryStrategy:
    """Return k-center greedy in AnchorAL's subpool."""
    base = KCenterGreedy(context.embeddings, uncertainty="margin", seed=context.seed)
    return AnchorAL(base, context.embeddings, **SMALL, seed=context.seed)


def own_vectors(
    strategy: type[QueryStrategy],
    **options: Any,  # noqa: ANN401
) -> Callable[[Context], QueryStrategy]:
    """Return a builder of a strategy that takes the vectors of the classifier."""
    return lambda context: strategy("classifier", **options, seed=context.seed)


def anchored_votes(context: Context) -> QueryStrategy:
    """Return votes of neighbours in the model's vectors, in AnchorAL's subpool of frozen ones."""
    return anchoral(lambda: KNNMargin("classifier"))(context)


STRATEGY_BUILDERS: dict[str, dict[str, StrategyCase]] = {
    "AnchorAL": {
        "published": StrategyCase(
            lambda context: AnchorAL(LeastConfidence(), context.embeddings, seed=context.seed),
            random=False,  # the pool is no larger than the subpool: nothing is filtered
            slow=True,
        ),
        "small": StrategyCase(anchoral()),
        "random-base": StrategyCase(
            anchoral(RandomSampling), needs_classifier=False, multi_label=True
        ),
        "multi-label": StrategyCase(
            anchoral(
                RandomSampling,
                num_neighbors=20,
                minority_classes=[RARE_CLASS],
                minority_anchor_selector="all",
            ),
            needs_classifier=False,
            multi_label=True,
        ),
        "entropy-anchors": StrategyCase(
            anchoral(PredictionEntropy, anchor_selector="entropy"), random=False
        ),
        "random-anchors": StrategyCase(anchoral(anchor_selector="random"), slow=True),
        "all-anchors": StrategyCase(anchoral(anchor_selector="all"), random=False, slow=True),
        "minority-selector": StrategyCase(
            anchoral(
                BreakingTies,
                anchor_selector="random",
                minority_classes=[RARE_CLASS],
                minority_anchor_selector="all",
            ),
        ),
        "sampled": StrategyCase(anchoral(sample_subpool=True, subpool_size=20)),
        "few-neighbors": StrategyCase(anchoral(num_anchors=1, num_neighbors=1)),
        "seed-anchors": StrategyCase(
            anchoral(seed_anchors={RARE_CLASS: np.array(clustered_vectors()[:2])})
        ),
        "hnsw": StrategyCase(anchoral(index="hnsw"), exact=False),
        "index-object": StrategyCase(
            lambda context: anchoral(index=ExactIndex(block_size=3000))(context), slow=True
        ),
        "kmeans": StrategyCase(anchoral(EmbeddingKMeans), slow=True),
        "k-center": StrategyCase(anchored_k_center, slow=True),
    },
    "SEALS": {
        "small": StrategyCase(seals(), history_free=False, random=False),
        "random-base": StrategyCase(
            seals(RandomSampling), needs_classifier=False, multi_label=True, history_free=False
        ),
        "capped": StrategyCase(seals(max_subpool_size=40), history_free=False),
        "hnsw": StrategyCase(
            seals(index="hnsw"), history_free=False, random=False, exact=False, slow=True
        ),
    },
    "RandomSubset": {
        "small": StrategyCase(random_subset()),
        "random-base": StrategyCase(
            random_subset(RandomSampling), needs_classifier=False, multi_label=True
        ),
        "matched": StrategyCase(matched_subset),
        "kmeans": StrategyCase(random_subset(EmbeddingKMeans), slow=True),
    },
    "CartographyFilter": {
        "hard": StrategyCase(cartography_filter(fraction=0.8)),
        "random-base": StrategyCase(cartography_filter(RandomSampling), multi_label=True),
        "within-classes": StrategyCase(
            cartography_filter(within_classes=True), random=False, slow=True
        ),
        "easy": StrategyCase(cartography_filter(drop="easy", fraction=0.9), slow=True),
        "ambiguous": StrategyCase(
            cartography_filter(drop="ambiguous", exploration=0.0), random=False, slow=True
        ),
        "own-vectors": StrategyCase(
            cartography_filter(frozen=False, fraction=0.8), sees_the_pool=True
        ),
        "over-anchoral": StrategyCase(filtered_anchoral),
        "under-anchoral": StrategyCase(anchored_filter),
    },
    "CartographyActiveLearning": {
        "frozen": StrategyCase(cartography_learning(), random=False, multi_label=True),
        "own-vectors": StrategyCase(cartography_learning(frozen=False), random=False),
        "fallback": StrategyCase(cartography_learning(threshold=0.0), random=False, slow=True),
        "random": StrategyCase(cartography_learning(min_labeled=10_000)),
    },
    "DynamicsUncertainty": {
        "entropy": StrategyCase(
            dynamics_uncertainty("predicted_entropy", frozen=True), random=False, multi_label=True
        ),
        "margin": StrategyCase(
            dynamics_uncertainty("predicted_margin", frozen=False), random=False, multi_label=True
        ),
        "variability": StrategyCase(
            dynamics_uncertainty("variability", frozen=True),
            random=False,
            multi_label=True,
            history_free=False,
        ),
        "flips": StrategyCase(
            dynamics_uncertainty("flips", frozen=False),
            random=False,
            multi_label=True,
            history_free=False,
        ),
    },
    "ExpectedReducibleLoss": {
        "heads": StrategyCase(expected_loss(), random=False, multi_label=True),
        "zero-shot": StrategyCase(
            expected_loss(zero_shot, frozen=False, variant="optimistic"),
            random=False,
            multi_label=True,
        ),
        "factory": StrategyCase(
            expected_loss(lambda context: heads(context.multi_label), variant="pseudo"),
            random=False,
            multi_label=True,
            slow=True,
        ),
        "committee": StrategyCase(
            expected_loss(variant="committee", num_members=3),
            needs_classifier=False,
            multi_label=True,
        ),
        "own-vectors": StrategyCase(
            expected_loss(frozen=False, variant="committee", num_members=3, diversity=5),
            slow=True,
        ),
        "factory-committee": StrategyCase(
            expected_loss(
                lambda context: heads(context.multi_label),
                variant="committee",
                num_members=2,
                diversity=5,
            ),
            needs_classifier=False,
            multi_label=True,
            slow=True,
        ),
        "spread": StrategyCase(
            expected_loss(zero_shot, diversity=4.0), multi_label=True, slow=True
        ),
    },
    "EPIG": {
        "frozen": StrategyCase(epig(), needs_classifier=False, multi_label=True),
        "own-vectors": StrategyCase(epig(frozen=False), slow=True),
        "targets": StrategyCase(
            epig(targets=np.arange(0, 390, 30)),
            needs_classifier=False,
            multi_label=True,
            slow=True,
        ),
        "factory": StrategyCase(
            lambda context: epig(frozen=False, factory=heads(context.multi_label))(context),
            needs_classifier=False,
            multi_label=True,
            slow=True,
        ),
    },
    "KCenterGreedy": {
        "vectors": StrategyCase(
            diverse(KCenterGreedy), needs_classifier=False, multi_label=True, random=False
        ),
        "product": StrategyCase(
            diverse(KCenterGreedy, uncertainty="margin", minimum_uncertainty=0.2),
            multi_label=True,
            random=False,
        ),
        "objective": StrategyCase(
            diverse(KCenterGreedy, uncertainty="entropy", combine="objective"),
            multi_label=True,
            random=False,
        ),
        "balanced": StrategyCase(
            diverse(
                KCenterGreedy, balance_strength=2.0, examples=np.array(clustered_vectors()[:2])
            ),
            random=False,
            slow=True,
        ),
        "torch": StrategyCase(
            diverse(KCenterGreedy, precision="float64", device="cpu"),
            needs_classifier=False,
            random=False,
            slow=True,
        ),
    },
    "FacilityLocation": {
        "vectors": StrategyCase(
            diverse(FacilityLocation, num_neighbors=16),
            needs_classifier=False,
            multi_label=True,
            random=False,
        ),
        "weighted": StrategyCase(
            diverse(FacilityLocation, uncertainty="least_confidence"), random=False, slow=True
        ),
    },
    "TypiClust": {
        "vectors": StrategyCase(
            diverse(TypiClust, max_clusters=60), needs_classifier=False, multi_label=True
        ),
        "weighted": StrategyCase(
            diverse(TypiClust, uncertainty="margin", max_clusters=20), slow=True
        ),
    },
    "BADGE": {"gradients": StrategyCase(lambda context: BADGE(seed=context.seed))},
    "FineTunedKMeans": {
        "distance": StrategyCase(
            lambda context: FineTunedKMeans(seed=context.seed), multi_label=True
        ),
        "product": StrategyCase(
            lambda context: FineTunedKMeans("product", seed=context.seed), slow=True
        ),
    },
    "KNNMargin": {
        "frozen": StrategyCase(diverse(KNNMargin), multi_label=True, random=False),
        "hard": StrategyCase(diverse(KNNMargin, votes="hard"), random=False, slow=True),
        "anchored": StrategyCase(anchored_votes, slow=True),
    },
    "KNNEntropy": {
        "own-vectors": StrategyCase(own_vectors(KNNEntropy), multi_label=True, random=False),
    },
    "PrototypeDisagreement": {
        "prototypes": StrategyCase(diverse(PrototypeDisagreement), multi_label=True, random=False),
        "classifier": StrategyCase(
            diverse(PrototypeDisagreement, against="classifier"),
            multi_label=True,
            random=False,
            slow=True,
        ),
    },
    "PrototypeGap": {
        "novelty": StrategyCase(diverse(PrototypeGap), multi_label=True, random=False),
        "margin": StrategyCase(diverse(PrototypeGap, measure="margin"), random=False, slow=True),
    },
    "LabeledContrastiveActiveLearning": {
        "own-vectors": StrategyCase(
            own_vectors(LabeledContrastiveActiveLearning), multi_label=True, random=False
        ),
        "frozen": StrategyCase(
            diverse(LabeledContrastiveActiveLearning), multi_label=True, random=False, slow=True
        ),
    },
}

INDEX_BUILDERS: dict[str, dict[str, IndexCase]] = {
    "ExactIndex": {
        "default": IndexCase(ExactIndex),
        "blocks": IndexCase(lambda: ExactIndex(block_size=970)),
        "torch": IndexCase(lambda: ExactIndex(device="cpu")),
    },
    "HNSWIndex": {"default": IndexCase(HNSWIndex, recall=0.98)},
}


def dense_dataset(x: Any, y: Any) -> SklearnDataset:  # noqa: ANN401
    """Return vectors and labels as the dataset of a head on frozen vectors."""
    return SklearnDataset(x, y, target_labels=np.arange(NUM_CLASSES))


def mlp(
    hidden_size: int | None = None,
    multi_label: bool = False,
    **options: Any,  # noqa: ANN401
) -> ClassifierCase:
    """Return a case of the head on frozen vectors."""

    def build(seed: Seed) -> MLPClassification:
        shape = MLPModelArguments(hidden_size=hidden_size)
        return MLPClassification(shape, NUM_CLASSES, multi_label, seed=seed, **options)

    return ClassifierCase(build, dense_dataset, multi_label)


def text_dataset(x: Any, y: Any) -> TextDataset:  # noqa: ANN401
    """Return texts made of the vectors, for a classifier that reads texts."""
    return TextDataset(texts_of_vectors(np.asarray(x)), y, target_labels=np.arange(NUM_CLASSES))


def pair_dataset(x: Any, y: Any) -> TextPairDataset:  # noqa: ANN401
    """Return the same texts as second ones of pairs."""
    texts = texts_of_vectors(np.asarray(x))
    pairs = [("after this", text) for text in texts]
    return TextPairDataset(pairs, y, target_labels=np.arange(NUM_CLASSES))


def tiny_arguments(architecture: str = "bert") -> TransformerArguments:
    """Return a model that trains in tenths of a second."""
    return TransformerArguments(checkpoint(architecture), config_kwargs={"num_hidden_layers": 1})


TINY_FIT: dict[str, Any] = {
    "num_epochs": 10,
    "lr": 8e-3,
    "batch_size": 60,
    "precision": "float32",
    "validation_set_size": 0.0,
}


def transformer(
    multi_label: bool = False,
    slow: bool = False,
    architecture: str = "bert",
    dataset: Callable[[Any, Any], Any] = text_dataset,
    **options: Any,  # noqa: ANN401
) -> ClassifierCase:
    """Return a case of the fine-tuned encoder on texts."""

    def build(seed: Seed) -> TransformerClassification:
        given = {**TINY_FIT, **options}
        return TransformerClassification(
            tiny_arguments(architecture), NUM_CLASSES, multi_label, seed=seed, **given
        )

    return ClassifierCase(build, dataset, multi_label, slow=slow)


ALIGNED_FIT: dict[str, Any] = {
    "num_epochs": 3,
    "lr": 4e-3,
    "batch_size": 60,
    "memory_size": 240,
    "precision": "float32",
}


def alignment(
    multi_label: bool = False,
    slow: bool = False,
    **options: Any,  # noqa: ANN401
) -> ClassifierCase:
    """Return a case of the encoder that is aligned with the classes."""

    def build(seed: Seed) -> EmbeddingAlignmentClassification:
        given = {**ALIGNED_FIT, **options}
        return EmbeddingAlignmentClassification(
            tiny_arguments(), NUM_CLASSES, multi_label, seed=seed, **given
        )

    # Embeddings of the training set stay, and its labels and weights.
    kept = 4 * HIDDEN_SIZE + 12 * (NUM_CLASSES if multi_label else 1)
    return ClassifierCase(build, text_dataset, multi_label, slow=slow, kept_bytes=kept)


def alignment_factory(multi_label: bool) -> FactoryCase:
    """Return a case of the factory of such classifiers."""
    options = {**ALIGNED_FIT, "multi_label": multi_label, "seed": 3}
    return FactoryCase(
        lambda: EmbeddingAlignmentClassificationFactory(tiny_arguments(), NUM_CLASSES, options),
        makes="EmbeddingAlignmentClassification",
    )


_MAPPED_EPOCHS = 8


def cartography(
    multi_label: bool = False,
    **options: Any,  # noqa: ANN401
) -> ClassifierCase:
    """Return a case of a linear head that is trained on a region of its map."""

    def build(seed: Seed) -> CartographyClassification:
        kwargs = {"multi_label": multi_label, "num_epochs": _MAPPED_EPOCHS, "seed": seed}
        base = MLPClassificationFactory(MLPModelArguments(), NUM_CLASSES, kwargs)
        return CartographyClassification(base, seed=seed, **options)

    # The map stays: float32 logits, an id, labels, and whether it was kept.
    kept = 4 * _MAPPED_EPOCHS * NUM_CLASSES + 8 + 8 * NUM_CLASSES + 8
    return ClassifierCase(build, dense_dataset, multi_label, kept_bytes=kept)


def cartography_factory(multi_label: bool) -> FactoryCase:
    """Return a case of the factory of such classifiers."""
    options = {"multi_label": multi_label, "seed": 3}
    base = MLPClassificationFactory(MLPModelArguments(), NUM_CLASSES, options)
    return FactoryCase(
        lambda: CartographyClassificationFactory(base, fraction=0.5, seed=3),
        makes="CartographyClassification",
        wraps=True,
    )


def core_set(multi_label: bool = False, **options: Any) -> ClassifierCase:  # noqa: ANN401
    """Return a case of a linear head that is trained on half of its items."""

    def build(seed: Seed) -> CoreSetClassification:
        kwargs = {"multi_label": multi_label, "seed": seed}
        base = MLPClassificationFactory(MLPModelArguments(), NUM_CLASSES, kwargs)
        return CoreSetClassification(base, seed=seed, **{"fraction": 0.5, **options})

    # What was kept stays, as positions.
    return ClassifierCase(build, dense_dataset, multi_label, kept_bytes=8)


def core_set_factory(multi_label: bool) -> FactoryCase:
    """Return a case of the factory of such classifiers."""
    options = {"multi_label": multi_label, "seed": 3}
    base = MLPClassificationFactory(MLPModelArguments(), NUM_CLASSES, options)
    return FactoryCase(
        lambda: CoreSetClassificationFactory(base, fraction=0.5, seed=3),
        makes="CoreSetClassification",
        wraps=True,
    )


_SELECTING: dict[str, Any] = {"batch_size": 16, "num_epochs": 24}


def reducible_loss(multi_label: bool = False, **options: Any) -> ClassifierCase:  # noqa: ANN401
    """Return a case of a linear head that is trained on half of each candidate batch."""

    def build(seed: Seed) -> ReducibleLossClassification:
        kwargs = {**_SELECTING, "multi_label": multi_label, "seed": seed}
        base = MLPClassificationFactory(MLPModelArguments(), NUM_CLASSES, kwargs)
        return ReducibleLossClassification(base, seed=seed, **{"selected_fraction": 0.5, **options})

    # Irreducible losses stay, by key and label, and the log of the steps that an item adds.
    logged = _SELECTING["num_epochs"] * 8 * (9 + NUM_CLASSES) // 32
    return ClassifierCase(
        build, dense_dataset, multi_label, kept_bytes=130 + 8 + 8 * NUM_CLASSES + logged
    )


def reducible_loss_factory(multi_label: bool) -> FactoryCase:
    """Return a case of the factory of such classifiers."""
    options = {**_SELECTING, "multi_label": multi_label, "seed": 3}
    base = MLPClassificationFactory(MLPModelArguments(), NUM_CLASSES, options)
    return FactoryCase(
        lambda: ReducibleLossClassificationFactory(base, selected_fraction=0.5, seed=3),
        makes="ReducibleLossClassification",
        wraps=True,
    )


CLASSIFIER_BUILDERS: dict[str, dict[str, ClassifierCase]] = {
    "CartographyClassification": {
        "ambiguous": cartography(fraction=0.5),
        "clean": cartography(keep="clean", crossfit=3),
        # What weights do to the choice of a region hides what they do to the fit.
        "multi-label": cartography(multi_label=True, keep="random", fraction=0.8),
    },
    "CoreSetClassification": {
        "entropy": core_set(),
        "forgetting": core_set(method="forgetting", fraction=0.8),
        "multi-label": core_set(multi_label=True, method="least_confidence", fraction=0.8),
    },
    "EmbeddingAlignmentClassification": {
        "knn": alignment(),
        "prototypes": alignment(head="prototypes", slow=True),
        "logistic": alignment(head="logistic", loss="cosine_mse_balanced", slow=True),
        "multi-label": alignment(multi_label=True, slow=True),
        "multi-label-prototypes": alignment(multi_label=True, head="prototypes", slow=True),
        "multi-label-logistic": alignment(multi_label=True, head="logistic", slow=True),
    },
    "MLPClassification": {
        "linear": mlp(),
        "hidden": mlp(hidden_size=32),
        "balanced": mlp(class_weight="balanced"),
        "early-stopping": mlp(validation_set_size=0.25),
        "multi-label": mlp(multi_label=True),
        "multi-label-hidden": mlp(hidden_size=32, multi_label=True),
    },
    "ReducibleLossClassification": {
        "cross-fit": reducible_loss(),
        "stale": reducible_loss(stale=True, selected_fraction=0.8),
        "multi-label": reducible_loss(multi_label=True, selected_fraction=0.8),
    },
    "TransformerClassification": {
        "single-label": transformer(),
        "multi-label": transformer(multi_label=True, slow=True),
        "balanced": transformer(class_weight="balanced", slow=True),
        "early-stopping": transformer(validation_set_size=0.25, num_epochs=16, slow=True),
        "pairs": transformer(dataset=pair_dataset, slow=True),
        "gpt2": transformer(architecture="gpt2", slow=True),
        "lora": transformer(peft_config={}, lr=3e-2, num_epochs=20, slow=True),
        # Its numbers have three digits, and which one is next depends on the shape of the batch.
        "bfloat16": replace(transformer(precision="bfloat16", slow=True), rounding=5e-3),
    },
}


def mlp_factory(multi_label: bool) -> FactoryCase:
    """Return a case of the factory of the head on frozen vectors."""
    options = {"multi_label": multi_label, "seed": 3}
    return FactoryCase(
        lambda: MLPClassificationFactory(MLPModelArguments(), NUM_CLASSES, options),
        makes="MLPClassification",
    )


def transformer_factory(multi_label: bool, lora: bool = False) -> FactoryCase:
    """Return a case of a factory of the fine-tuned encoder."""
    kind = LoRATransformerClassificationFactory if lora else TransformerClassificationFactory
    options = {**TINY_FIT, "multi_label": multi_label, "seed": 3}
    return FactoryCase(
        lambda: kind(tiny_arguments(), NUM_CLASSES, options), makes="TransformerClassification"
    )


FACTORY_BUILDERS: dict[str, dict[str, tuple[FactoryCase, ClassifierCase]]] = {
    "CartographyClassificationFactory": {
        "single-label": (cartography_factory(False), cartography(fraction=0.5)),
        "multi-label": (cartography_factory(True), cartography(multi_label=True, fraction=0.5)),
    },
    "CoreSetClassificationFactory": {
        "single-label": (core_set_factory(False), core_set()),
        "multi-label": (core_set_factory(True), core_set(multi_label=True)),
    },
    "EmbeddingAlignmentClassificationFactory": {
        "single-label": (alignment_factory(False), alignment()),
        "multi-label": (alignment_factory(True), alignment(multi_label=True)),
    },
    "LoRATransformerClassificationFactory": {
        "single-label": (
            transformer_factory(False, lora=True),
            transformer(peft_config={}),
        ),
        "multi-label": (
            transformer_factory(True, lora=True),
            transformer(multi_label=True, peft_config={}),
        ),
    },
    "MLPClassificationFactory": {
        "single-label": (mlp_factory(False), mlp()),
        "multi-label": (mlp_factory(True), mlp(multi_label=True)),
    },
    "ReducibleLossClassificationFactory": {
        "single-label": (reducible_loss_factory(False), reducible_loss()),
        "multi-label": (reducible_loss_factory(True), reducible_loss(multi_label=True)),
    },
    "TransformerClassificationFactory": {
        "single-label": (transformer_factory(False), transformer()),
        "multi-label": (transformer_factory(True), transformer(multi_label=True)),
    },
}
