"""Nothing here depends on the settings of whoever runs the tests."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch):
    for name in [n for n in os.environ if n.upper().startswith("CONTEXTKIT_")]:
        monkeypatch.delenv(name)
