"""Maps of models that learn some items at once, some late and some never."""

from __future__ import annotations

import numpy as np
import pandas as pd


def made_up_map(num_items: int = 600, num_epochs: int = 6, seed: int = 0) -> pd.DataFrame:
    """Return the metrics of made-up trajectories; items are equally easy whatever the seed."""
    ease = np.random.default_rng(99).normal(1.2, 1.8, num_items)
    noise = np.random.default_rng(seed).normal(0, 0.9, (num_epochs, num_items))
    progress = np.linspace(0.3, 1.6, num_epochs)[:, None]
    gold = 1 / (1 + np.exp(-(ease * progress + noise)))
    correct = (gold > 0.5).sum(axis=0)
    return pd.DataFrame(
        {
            "guid": [f"item-{number}" for number in range(num_items)],
            "index": np.arange(num_items),
            "confidence": gold.mean(axis=0),
            "variability": gold.std(axis=0),
            "correctness": correct,
            "forgetfulness": np.where(correct == 0, 1000, 0),
            "correctness_fraction": correct / num_epochs,
            "never_learnt": correct == 0,
            "aum": np.linspace(-1, 1, num_items),
        }
    )
