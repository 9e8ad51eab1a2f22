from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from contextkit import plugins
from contextkit.embedding import EndpointEmbedder, LocalEmbedder, default_embedder, load_embedder
from contextkit.errors import EmbedderError, InputError, PluginError


def entry(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, "contextkit.embedders")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch):
    """Has exactly these entry points installed."""

    def install(*found: EntryPoint) -> None:
        monkeypatch.setattr(plugins, "entry_points", lambda group: [e for e in found if e.group == group])
        plugins.clear()

    yield install
    plugins.clear()


def test_settings(packaged: Path) -> None:
    for spec in (None, "all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"):
        assert load_embedder(spec).info.name == "all-MiniLM-L6-v2"
    assert load_embedder(packaged).info == load_embedder(str(packaged)).info
    found = load_embedder("openai:bge:m3@http://host:1/v1/")
    assert isinstance(found, EndpointEmbedder)
    assert (found.model, found.url) == ("bge:m3", "http://host:1/v1/embeddings")
    assert load_embedder("openai:m").url == "https://api.openai.com/v1/embeddings"  # type: ignore[attr-defined]
    assert load_embedder(found) is found


def test_settings_that_name_nothing() -> None:
    with pytest.raises(EmbedderError, match="names no model"):
        load_embedder("openai:")
    for name in ("nonsense", "~nobody-here/x", "x" * 5000, "zero\0"):
        with pytest.raises(EmbedderError, match="no model folder"):
            load_embedder(name)
    with pytest.raises(InputError, match="is no embedder: it has no info, count"):
        load_embedder(3)  # type: ignore[arg-type]


def test_our_own_plugins_are_listed() -> None:
    assert {"sentence-transformers", "openai"} <= set(plugins.names("contextkit.embedders"))
    assert plugins.load("contextkit.embedders", "openai") is EndpointEmbedder
    assert isinstance(load_embedder("sentence-transformers"), LocalEmbedder)


def test_plugins_by_name_and_argument(installed, packaged: Path) -> None:
    installed(entry("mine", "contextkit.embedding:LocalEmbedder"), entry("other", "contextkit.embedding:default_embedder"))
    assert load_embedder(f"mine:{packaged}").info.name == packaged.name
    assert load_embedder("other").info == default_embedder().info


def test_a_plugin_that_returns_something_else(installed) -> None:
    installed(entry("odd", "builtins:dict"))
    with pytest.raises(InputError, match=r"the plug-in 'odd' \(dict\) is no embedder"):
        load_embedder("odd")


def test_a_broken_plugin_warns_when_listed_and_raises_when_asked_for(installed) -> None:
    installed(
        entry("gone", "no_such_module:X"), entry("sound", "contextkit.embedding:LocalEmbedder"), entry("half", "json:nothing")
    )
    with pytest.warns(RuntimeWarning) as caught:
        assert plugins.names("contextkit.embedders") == ("sound",)
    assert ["'gone'" in str(w.message) or "'half'" in str(w.message) for w in caught] == [True, True]
    assert plugins.names("contextkit.embedders", check=False) == ("gone", "half", "sound")
    with pytest.raises(
        PluginError, match=r"'gone' of an unnamed package \(no_such_module:X\) does not load: ModuleNotFoundError"
    ):
        load_embedder("gone")
    with pytest.raises(PluginError, match=r"no plug-in 'x' .* \(installed: gone, half, sound\)"):
        plugins.load("contextkit.embedders", "x")
    assert plugins.names("contextkit.nothing") == ()


def test_two_packages_with_one_name(installed) -> None:
    installed(entry("same", "json:loads"), entry("same", "json:dumps"))
    with pytest.raises(PluginError, match="several packages have a plug-in 'same'"):
        plugins.load("contextkit.embedders", "same")


def test_importing_is_light() -> None:
    code = (
        "import sys, contextkit.embedding, contextkit.plugins; contextkit.embedding.load_embedder(None); "
        "sys.exit(any(m in sys.modules for m in ('torch', 'numpy', 'httpx2', 'tokenizers', 'pydantic')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
