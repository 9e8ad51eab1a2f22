"""The command line with the tiny embedder in the place of the packaged model, so that a test's server starts in a moment."""

from __future__ import annotations

import contextkit.kit.verbs
from contextkit.cli import main
from contextkit.testing import TinyEmbedder

contextkit.kit.verbs.load_embedder = lambda *_, **__: TinyEmbedder()
main()
