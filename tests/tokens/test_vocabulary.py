from __future__ import annotations

import base64
import hashlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tiktoken
from tiktoken_ext import openai_public

from contextkit.errors import InputError
from contextkit.tokens import encoding, encoding_names, vocabulary

PUBLISHED = {
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
}
TEXTS = [
    "hello world",
    "  def f(x):\n\treturn x ** 2  # naïve\n\n\n",
    "漢字とひらがな 12345678 äöü — “quoted” 👩‍👩‍👧‍👦",
    "It's WE'LL don't\r\n\r\n   ",
    "<|endoftext|>",
]


def published_file(name: str) -> bytes:
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in vocabulary.ranks(name).items())


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_the_data_is_the_published_file(name: str) -> None:
    assert hashlib.sha256(published_file(name)).hexdigest() == PUBLISHED[name]


@pytest.mark.usefixtures("socket_disabled")
@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_equals_tiktokens_own_encoding(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """tiktoken reads its own cache, filled from our data, and checks the digest itself."""
    url = f"https://openaipublic.blob.core.windows.net/encodings/{name}.tiktoken"
    (tmp_path / hashlib.sha1(url.encode()).hexdigest()).write_bytes(published_file(name))
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    theirs, ours = tiktoken.Encoding(**getattr(openai_public, name)()), encoding(name)
    assert ours._special_tokens == theirs._special_tokens
    for text in TEXTS:
        assert ours.encode_ordinary(text) == theirs.encode_ordinary(text)
        assert ours.encode(text, allowed_special="all") == theirs.encode(text, allowed_special="all")
        assert ours.decode(ours.encode_ordinary(text)) == text


def test_loaded_once_whatever_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "_loaded", {})
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(encoding, ["cl100k_base"] * 16))
    assert len({id(one) for one in found}) == 1


def test_unknown_and_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    assert encoding_names() == ("cl100k_base", "o200k_base")
    with pytest.raises(InputError, match=r"no encoding 'gpt2': the package carries cl100k_base, o200k_base"):
        encoding("gpt2")
    changed = vocabulary._SOURCES["cl100k_base"]._replace(digest="0" * 64)
    monkeypatch.setattr(vocabulary, "_SOURCES", {"cl100k_base": changed})
    monkeypatch.setattr(vocabulary, "_loaded", {})
    with pytest.raises(InputError, match=r"damaged .*install contextkit again"):
        encoding("cl100k_base")


def test_works_without_any_writable_folder_or_environment(tmp_path: Path) -> None:
    """No cache: nothing is written, and the environment stays as it was."""
    import subprocess

    code = (
        "import os, sys; before = dict(os.environ); from contextkit.tokens import counter_for; "
        "n = counter_for('gpt-4o').count('hello world'); sys.exit(0 if n == 2 and dict(os.environ) == before else 1)"
    )
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    env = {"HOME": str(home), "XDG_CACHE_HOME": "/proc/none", "TMPDIR": "/proc/none", "PATH": os.environ["PATH"]}
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-B", "-c", code], check=False, env=env, cwd=root).returncode == 0
    assert list(home.iterdir()) == []
