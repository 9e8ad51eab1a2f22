"""Every block of docs/agent-call.md runs, in order."""

from __future__ import annotations

import re
from pathlib import Path

from contextkit.testing import TinyEmbedder

PAGE = Path(__file__).parents[3] / "docs" / "agent-call.md"


def test_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("contextkit.kit.verbs.load_embedder", lambda *_, **__: TinyEmbedder())
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert len(blocks) >= 8
    names: dict[str, object] = {}
    for number, block in enumerate(blocks, 1):
        exec(compile(block, f"{PAGE.name}, block {number}", "exec"), names)
    assert "left out" in capsys.readouterr().out
