"""Which language a text is in: by its script, then by the commonest words of a few languages. No model, no randomness.

It is for filters and for choosing a stemmer; where it is not sure it says "".
"""

from __future__ import annotations

import re
from collections import Counter

_TAG = re.compile(r"([A-Za-z]{2,3})(?:[-_]([A-Za-z0-9]{2,8}))*")
_WORD = re.compile(r"[^\W\d_]+")
_SAMPLE = 20_000

# the commonest function words; those shared by several languages weigh little because they count for each
_COMMON: dict[str, frozenset[str]] = {
    tag: frozenset(words.split())
    for tag, words in {
        "en": "the of and to in is that for it with as was on are be by this from at or which an have not you were has their we",
        "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden aus er hat",
        "fr": "le la les de des et à en un une du dans est que pour qui par sur au pas plus ne se ce il sont avec ou nous vous",
        "es": "el la los de y en que del las por un con una para es al se no su lo como más o pero sus este está son ha muy",
        "it": "il la di che e in un per è una del non con si da le della dei sono al alla nel più come anche ma gli lo delle",
        "pt": "o a de que e do da em um para é com não uma os no na por mais as dos como mas ao das se foi são seu ou você",
        "nl": "de van het een en in is dat op te zijn met voor niet aan er die als door ook om bij maar uit wordt naar dan",
        "sv": "och i att det som en på är av för med till den har de inte om ett men var jag sig från vi så kan när",
        "da": "og i at det som en på er af for med til den har de ikke om et men var jeg sig fra vi så kan der blev",
        "pl": "i w z na do się nie że to jest o jak przez od po dla są ale co czy za być tym przy który oraz jego",
        "tr": "ve bir bu için ile de da olarak olan daha çok en gibi kadar sonra var ne ya o değil her ise veya",
        "fi": "ja on ei se että oli ovat hän mutta kuin niin myös joka tai sen kun vain mitä jos ole",
        "ru": "и в не на что с по как это он к из у за от но для же так его то все или была был при",
        "uk": "і в на що не з та до як за це для від у але його про був та який або є",
        "id": "yang dan di dengan untuk dari pada ini adalah itu dalam tidak akan ke oleh atau juga",
        "vi": "và của là có cho không được trong một các với này những người để khi đến từ",
        "cs": "a se v na je že to s z do o i jako za ale pro by jsou který nebo",
        "hu": "a az és hogy nem is egy ez de van meg csak ha volt mint vagy el már",
        "ro": "și de în la a cu pe că nu este din pentru un o se mai care sunt sau",
    }.items()
}
_SCRIPTS = (  # language, first, last code point
    ("ko", 0xAC00, 0xD7AF),
    ("ja", 0x3040, 0x30FF),
    ("zh", 0x4E00, 0x9FFF),
    ("ar", 0x0600, 0x06FF),
    ("he", 0x0590, 0x05FF),
    ("el", 0x0370, 0x03FF),
    ("th", 0x0E00, 0x0E7F),
    ("hi", 0x0900, 0x097F),
    ("bn", 0x0980, 0x09FF),
    ("ta", 0x0B80, 0x0BFF),
    ("ka", 0x10A0, 0x10FF),
    ("hy", 0x0530, 0x058F),
)
_PERSIAN = frozenset("پچژگکی")


def normal_tag(tag: str) -> str:
    """A BCP 47 tag in its usual letters ("EN_us" gives "en-US"), or "" where it is none."""
    found = _TAG.fullmatch(tag.strip())
    if found is None or found.group(1).lower() in ("und", "zxx", "mul", "xml"):
        return ""
    first, *rest = re.split(r"[-_]", tag.strip())
    return "-".join([first.lower(), *(p.upper() if len(p) == 2 else p.title() if len(p) == 4 else p.lower() for p in rest)])


def of_text(text: str) -> str:
    """The language's tag, or "" where the text is too short or nothing clear is found."""
    sample = text[:_SAMPLE]
    letters = [c for c in sample if c.isalpha()]
    if len(letters) < 20:
        return ""
    if sum(c > "\u036f" for c in letters) > 0.3 * len(letters):
        by_script = _by_script(letters)
        if by_script:
            return by_script
    counts = Counter(_WORD.findall(sample.lower()))
    total = sum(counts.values())
    scores = sorted(((sum(counts[w] for w in words) / total, tag) for tag, words in _COMMON.items()), reverse=True)
    (best, tag), (second, _) = scores[0], scores[1]
    return tag if total >= 6 and best >= 0.12 and best > 1.15 * second else ""


def _by_script(letters: list[str]) -> str:
    """The language by script, or "" for scripts of many languages (Latin, Cyrillic)."""
    total = len(letters)
    shares = {tag: sum(first <= ord(c) <= last for c in letters) / total for tag, first, last in _SCRIPTS}
    if shares["ja"] > 0.05:  # Japanese mixes its own letters with Chinese ones
        return "ja"
    tag = max(shares, key=lambda t: shares[t])
    if shares[tag] < 0.3:
        return ""
    if tag == "ar" and sum(c in _PERSIAN for c in letters) > 0.03 * total:
        return "fa"
    return tag
