"""Getting documents in: a listing becomes a plan, staged work, one commit. The rows are written by `contextkit.catalog`."""

from __future__ import annotations

from contextkit.sync.pipeline import Pipeline
from contextkit.sync.reembedding import reembed
from contextkit.sync.report import Failure, Progress, SyncReport
from contextkit.sync.runs import KIT, add, remove, sync

__all__ = ["KIT", "Failure", "Pipeline", "Progress", "SyncReport", "add", "reembed", "remove", "sync"]
