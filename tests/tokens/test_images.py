"""Tokens of images by the providers' published rules, and sizes from the first bytes of a file."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image

from contextkit.tokens.images import base64_size, image_rule, image_size, image_tokens, read_data_url


@pytest.mark.parametrize(
    ("model", "size", "detail", "tokens"),
    [
        # the examples of OpenAI's guide
        ("gpt-4o", (1024, 1024), "high", 765),
        ("gpt-4o", (2048, 4096), "high", 1105),
        ("gpt-4o", (4096, 8192), "low", 85),
        ("gpt-4.1-mini-2025-04-14", (1024, 1024), "high", 1659),  # 1,024 patches, each 1.62
        ("gpt-5-nano", (1800, 2400), "auto", 3572),  # 1,452 patches, each 2.46
        ("gpt-4o-mini", (1024, 1024), "high", 2833 + 4 * 5667),
        ("gpt-5", (1024, 1024), "auto", 70 + 4 * 140),
        ("o3", (512, 512), "high", 75 + 4 * 150),
        # the examples of Anthropic's guide: 200 x 200, 1000 x 1000, 1092 x 1092
        ("claude-sonnet-4-5", (200, 200), "", 54),
        ("claude-sonnet-4-5", (1000, 1000), "", 1334),
        ("claude-3-opus", (1092, 1092), "", 1590),
        ("claude-3-opus", (8000, 8000), "", 1600),
    ],
)
def test_the_published_examples(model, size, detail, tokens):
    assert image_tokens(image_rule(model), *size, detail) == tokens


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4.1-mini", "o4-mini", "claude-haiku-4-5"])
def test_a_picture_of_unknown_size_counts_with_the_most(model):
    rule = image_rule(model)
    most = image_tokens(rule, 0, 0)
    for width in (1, 31, 400, 768, 2000, 9000):
        for height in (1, 33, 500, 1500, 8000):
            assert 0 < image_tokens(rule, width, height) <= most


@pytest.mark.parametrize(
    "model", ["gpt-4", "gpt-3.5-turbo", "gemini-2.5-pro", "llama-3.1-70b", "claude-2", "gpt-4o-audio-preview"]
)
def test_models_without_a_public_rule_have_none(model):
    assert image_rule(model) is None


@pytest.mark.parametrize("form", ["PNG", "GIF", "JPEG", "WEBP"])
@pytest.mark.parametrize("size", [(1, 1), (640, 33), (301, 1200)])
def test_sizes_are_those_that_pillow_wrote(form, size):
    made = io.BytesIO()
    Image.new("RGB", size, "red").save(made, form)
    assert image_size(made.getvalue()) == size
    assert base64_size(base64.b64encode(made.getvalue()).decode()) == size
    for cut in range(0, 40, 7):
        assert image_size(made.getvalue()[:cut]) in (None, size)


def test_lossless_and_extended_webp():
    made = io.BytesIO()
    Image.new("RGBA", (70, 90), (1, 2, 3, 4)).save(made, "WEBP", lossless=True)
    assert image_size(made.getvalue()) == (70, 90)
    made = io.BytesIO()
    Image.new("RGB", (70, 90)).save(made, "WEBP", exif=b"Exif\x00\x00xx")
    assert image_size(made.getvalue()) == (70, 90)


def test_what_is_no_picture():
    assert image_size(b"") is image_size(b"hello") is image_size(b"\xff\xd8\xff") is image_size(b"\xff\xd8" + b"x" * 40) is None
    with pytest.raises(ValueError, match="no base64"):
        base64_size("!!!!")
    assert read_data_url("https://example.org/x.png") is None
    assert read_data_url("data:image/png;base64,AAAA") == ("image/png", "AAAA")
