"""What an image costs in tokens, by the rule that its provider publishes; and an image's size, read from its first bytes.

OpenAI cuts images into tiles or patches, Anthropic divides the pixels by 750. A provider without a public rule has none here:
its images cannot be budgeted. Nothing is fetched: an image behind an address counts with the most that the rule can give.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from dataclasses import dataclass
from typing import Literal

Detail = Literal["low", "high", "auto"]
_MOST_TILES = 8  # of a picture of 2048 x 768, the largest after scaling
_PATCHES = 1536
_CLAUDE_MOST = 1600
_CLAUDE_EDGE = 1568
_DATA_URL = re.compile(r"data:(image/[\w.+-]+);base64,(.*)", re.DOTALL)
_HEAD = 262_144  # characters of base64 in which a JPEG's size stands


@dataclass(frozen=True, slots=True)
class ImageRule:
    """How a model counts images.

    Attributes:
        kind: "tiles" (of 512 pixels, OpenAI), "patches" (of 32 pixels, OpenAI) or "pixels" (Anthropic).
        base: tokens of an image of low detail, and of each image of tiles.
        tile: tokens of a tile.
        factor: tokens of a patch.
    """

    kind: Literal["tiles", "patches", "pixels"]
    base: int = 0
    tile: int = 0
    factor: float = 1.0


# OpenAI's guide "Images and vision", Anthropic's guide "Vision"; the first pattern that fits the whole name or its dated variant.
_DATED = r"(-\d{4}-\d\d-\d\d|-latest|-preview)?$"
_RULES: tuple[tuple[re.Pattern[str], ImageRule], ...] = tuple(
    (re.compile(f"(?:{pattern}){_DATED}"), rule)
    for pattern, rule in (
        (r"gpt-4o-mini", ImageRule("tiles", 2833, 5667)),
        (r"(gpt-5|gpt-4\.1)-mini", ImageRule("patches", factor=1.62)),
        (r"(gpt-5|gpt-4\.1)-nano", ImageRule("patches", factor=2.46)),
        (r"o4-mini", ImageRule("patches", factor=1.72)),
        (r"gpt-5|gpt-5-chat", ImageRule("tiles", 70, 140)),
        (r"chatgpt-4o|gpt-4o|gpt-4\.1|gpt-4\.5|gpt-4-turbo|gpt-4-vision", ImageRule("tiles", 85, 170)),
        (r"o1|o1-pro|o3", ImageRule("tiles", 75, 150)),
        (r"computer-use", ImageRule("tiles", 65, 129)),
    )
)
_CLAUDE = re.compile(r"claude-(3|opus|sonnet|haiku)")


def image_rule(base: str) -> ImageRule | None:
    """The rule of a model by its own name in lower case; None where no rule is public."""
    for pattern, rule in _RULES:
        if pattern.match(base):
            return rule
    return ImageRule("pixels") if _CLAUDE.match(base) else None


def image_tokens(rule: ImageRule, width: int, height: int, detail: str = "auto") -> int:
    """An upper bound of an image's tokens, the provider's own figure where its size and detail are given.

    Args:
        rule: of the model.
        width: pixels; 0 where unknown.
        height: pixels; 0 where unknown.
        detail: of OpenAI: "low", "high" or "auto", which counts as high.
    """
    known = width > 0 and height > 0
    if rule.kind == "tiles":
        if detail == "low":
            return rule.base
        return rule.base + rule.tile * (_tiles(width, height) if known else _MOST_TILES)
    if rule.kind == "patches":
        return math.ceil((_patches(width, height) if known else _PATCHES) * rule.factor)
    if not known:
        return _CLAUDE_MOST
    scale = min(1.0, _CLAUDE_EDGE / max(width, height))
    return min(_CLAUDE_MOST, math.ceil(width * scale * height * scale / 750))


def _tiles(width: int, height: int) -> int:
    """Tiles after scaling into 2048 x 2048 and the shorter side to 768; the text has it that small images grow too."""
    scale = min(1.0, 2048 / max(width, height))
    wide, high = width * scale, height * scale
    scale = 768 / min(wide, high)
    return min(_MOST_TILES, math.ceil(round(wide * scale, 6) / 512) * math.ceil(round(high * scale, 6) / 512))


def _patches(width: int, height: int) -> int:
    """Patches of 32 x 32; a larger picture is scaled until at most 1,536 whole ones cover it."""
    wide, high = math.ceil(width / 32), math.ceil(height / 32)
    if wide * high <= _PATCHES:
        return wide * high
    scale = math.sqrt(_PATCHES * 32 * 32 / (width * height))
    across, down = width * scale / 32, height * scale / 32
    scale *= min(math.floor(across) / across, math.floor(down) / down)
    return min(_PATCHES, math.ceil(round(width * scale / 32, 6)) * math.ceil(round(height * scale / 32, 6)))


def read_data_url(url: str) -> tuple[str, str] | None:
    """(media type, base64 data) of a "data:image/...;base64," address; None for any other address."""
    found = _DATA_URL.match(url)
    return None if found is None else (found[1].lower(), found[2])


def base64_size(data: str) -> tuple[int, int] | None:
    """(width, height) in pixels of an image in base64; None where it is no PNG, GIF, WebP or JPEG whose head says it.

    Raises:
        ValueError: it is no base64.
    """
    try:
        head = base64.b64decode(data[:_HEAD] + "=" * (-len(data[:_HEAD]) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"no base64: {error}") from error
    return image_size(head)


def image_size(head: bytes) -> tuple[int, int] | None:
    """(width, height) in pixels by the first bytes of a PNG, GIF, WebP or JPEG; None where they do not say."""
    try:
        if head[:8] == b"\x89PNG\r\n\x1a\n":
            width, height = struct.unpack(">II", head[16:24])
        elif head[:6] in (b"GIF87a", b"GIF89a"):
            width, height = struct.unpack("<HH", head[6:10])
        elif head[:4] == b"RIFF" and head[8:12] == b"WEBP":
            width, height = _webp(head)
        elif head[:2] == b"\xff\xd8":
            width, height = _jpeg(head)
        else:
            return None
    except (struct.error, IndexError):
        return None
    return (width, height) if width > 0 and height > 0 else None


def _webp(head: bytes) -> tuple[int, int]:
    kind = head[12:16]
    if kind == b"VP8X":
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if kind == b"VP8L":
        bits = struct.unpack("<I", head[21:25])[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    wide, high = struct.unpack("<HH", head[26:30])
    return wide & 0x3FFF, high & 0x3FFF


def _jpeg(head: bytes) -> tuple[int, int]:
    """From the frame header, which stands behind segments of any length."""
    at = 2
    while at + 9 < len(head):
        if head[at] != 0xFF:
            return 0, 0
        kind = head[at + 1]
        if kind == 0xFF:  # a fill byte
            at += 1
            continue
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            high, wide = struct.unpack(">HH", head[at + 5 : at + 9])
            return wide, high
        at += 2 + struct.unpack(">H", head[at + 2 : at + 4])[0]
    return 0, 0
