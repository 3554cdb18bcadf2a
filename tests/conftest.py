"""What holds for every test: no network, no thread competition, and where the repository lies."""

from __future__ import annotations

import os

# Before anything imports torch or the hub client: both read these once.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("SMALL_TEXT_PROGRESS_BARS", "0")
