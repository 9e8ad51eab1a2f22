"""What a document is: its media type, by content first and by name where the content does not tell.

Only looks at the head of the bytes and, of a zip archive, at its list of members. Reads no format.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import PurePosixPath

from contextkit.documents.charset import decode
from contextkit.errors import UnsupportedFormat
from contextkit.types import Blob

_HEAD = 1 << 14
_OFFICE = "application/vnd.openxmlformats-officedocument."
DOCX = _OFFICE + "wordprocessingml.document"
PPTX = _OFFICE + "presentationml.presentation"
XLSX = _OFFICE + "spreadsheetml.sheet"
ODF = "application/vnd.oasis.opendocument."

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"{\\rtf", "application/rtf"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"\x1f\x8b", "application/gzip"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!", "application/vnd.rar"),
    (b"\x7fELF", "application/x-executable"),
    (b"MZ\x90\0", "application/x-msdownload"),
    (b"SQLite format 3\0", "application/vnd.sqlite3"),
    (b"PAR1", "application/vnd.apache.parquet"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"ID3", "audio/mpeg"),
    (b"OggS", "audio/ogg"),
    (b"RIFF", "application/x-riff"),
)
BY_SUFFIX: dict[str, str] = {
    **dict.fromkeys((".md", ".markdown", ".mdown", ".mkd", ".mdx", ".qmd"), "text/markdown"),
    **dict.fromkeys((".html", ".htm", ".xhtml"), "text/html"),
    **dict.fromkeys((".rst", ".rest"), "text/x-rst"),
    **dict.fromkeys((".txt", ".text", ".log", ".nfo"), "text/plain"),
    **dict.fromkeys((".jsonl", ".ndjson"), "application/x-ndjson"),
    **dict.fromkeys((".xml", ".nxml", ".xbrl", ".rss", ".atom", ".svg", ".xsd", ".xsl"), "application/xml"),
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".tab": "text/tab-separated-values",
    ".json": "application/json",
    ".geojson": "application/json",
    ".ipynb": "application/x-ipynb+json",
    ".eml": "message/rfc822",
    ".msg": "application/vnd.ms-outlook",
    ".vtt": "text/vtt",
    ".srt": "application/x-subrip",
    ".org": "text/org",
    ".rtf": "application/rtf",
    ".doc": "application/msword",
    ".xls": "application/vnd.ms-excel",
    ".ppt": "application/vnd.ms-powerpoint",
}
CODE: dict[str, str] = {
    "py pyi pyx": "python",
    "js mjs cjs jsx": "javascript",
    "ts tsx mts cts": "typescript",
    "c h": "c",
    "cc cpp cxx hpp hh hxx": "c++",
    "java": "java",
    "kt kts": "kotlin",
    "go": "go",
    "rs": "rust",
    "rb": "ruby",
    "php": "php",
    "cs": "csharp",
    "swift": "swift",
    "scala": "scala",
    "sh bash zsh": "shell",
    "ps1": "powershell",
    "sql": "sql",
    "r": "r",
    "jl": "julia",
    "lua": "lua",
    "pl pm": "perl",
    "hs": "haskell",
    "ex exs": "elixir",
    "erl": "erlang",
    "clj": "clojure",
    "dart": "dart",
    "m mm": "objective-c",
    "vue svelte": "component",
    "css scss less": "css",
    "yaml yml": "yaml",
    "toml": "toml",
    "ini cfg conf env properties": "ini",
    "tf hcl": "hcl",
    "proto": "protobuf",
    "graphql gql": "graphql",
    "tex bib": "latex",
    "dockerfile makefile cmake gradle": "build",
    "bat cmd": "batch",
    "vb": "visual-basic",
    "asm s": "assembly",
    "zig nim v": "systems",
    "diff patch": "diff",
}
_LANGUAGES = {"." + suffix: name for suffixes, name in CODE.items() for suffix in suffixes.split()}
_BY_NAME = {"dockerfile": "build", "makefile": "build", "gnumakefile": "build", "jenkinsfile": "build", "gemfile": "ruby"}
_HTML = re.compile(
    r"<(?:!doctype\s+html|html|head|body|title|table|div|p|h[1-6]|ul|ol|article|section|span|a|meta)\b[^<]*>", re.IGNORECASE
)
_ODD = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f-\x84\x86-\x9f\ufffd]")
_MAIL = re.compile(r"(?:From|To|Cc|Subject|Date|Message-ID|MIME-Version|Received|Return-Path|Reply-To)\s*:", re.IGNORECASE)
_MAIL_LINE = re.compile(r"[A-Za-z][A-Za-z0-9\-]{0,60}:(?: |$)|[ \t]+\S")
_SRT = re.compile(r"\s*\d+\s*\n\d{1,2}:\d{2}:\d{2}[,.]\d{1,3}\s*-->")
_MARKDOWN = re.compile(
    r"^(?:#{1,6} \S|```|\[[^\]]+\]: http|(?:[-*+]|\d+\.) .*\[[^\]]+\]\([^)]+\)|\|.*\|\n\|[ :|\-]+\|$)",
    re.MULTILINE,
)
_RST = re.compile(r"^\.\. [\w-]+::|^[=\-~^\"]{4,}\n[^\n]+\n[=\-~^\"]{4,}$", re.MULTILINE)


def media_type(blob: Blob, data: bytes) -> str:
    """The media type of the bytes, in lower case, without parameters.

    The content decides; the name's ending, then what the source says, decide among text formats that look alike. Source code is
    "text/x-source". Bytes of a known type that nobody reads here still get their type.

    Raises:
        UnsupportedFormat: the bytes are neither text nor of a known binary format.
    """
    suffix = PurePosixPath(blob.name or str(blob.path or "")).suffix.lower()
    binary = _binary(data, suffix)
    if binary:
        return binary
    if not is_text(data):
        raise UnsupportedFormat(
            f"{blob.name or blob.id!r} is neither text nor a known document format (it begins with {data[:8].hex(' ')}); "
            "convert it, or install a parser for it under the entry-point group 'contextkit.parsers'"
        )
    return _text_type(blob, data, suffix)


def code_language(name: str) -> str:
    """The programming language by a file's name, or ""."""
    path = PurePosixPath(name)
    return _LANGUAGES.get(path.suffix.lower()) or _BY_NAME.get(path.name.lower(), "")


def is_text(data: bytes) -> bool:
    """Whether bytes look like text: no zeros outside UTF-16 and UTF-32, few control characters, few undecodable ones."""
    sample = data[:_HEAD]
    if not sample:
        return True
    text = decode(sample)
    odd = len(_ODD.findall(text))
    nulls = text.count("\0")
    return (odd <= 0.02 * len(text) and nulls <= 0.002 * len(text)) or (len(text) < 200 and odd <= 2)


def _binary(data: bytes, suffix: str) -> str:
    if b"%PDF-" in data[:1024]:
        return "application/pdf"
    if data[:4] in (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"):
        return _zip_type(data)
    for magic, kind in _MAGIC:
        if data.startswith(magic):
            return _ole_type(data, suffix) if kind == "application/x-ole-storage" else kind
    if data[4:8] == b"ftyp":
        return "video/mp4"
    return "application/pdf" if suffix == ".pdf" and not is_text(data) else ""


def _zip_type(data: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())
            if "mimetype" in names and archive.getinfo("mimetype").file_size < 200:
                return archive.read("mimetype").decode("ascii", errors="replace").strip().removesuffix("-template").lower()
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, ValueError, KeyError):
        return "application/zip"
    for member, kind in (("word/", DOCX), ("ppt/", PPTX), ("xl/", XLSX)):
        if any(name.startswith(member) for name in names):
            return kind
    return "application/epub+zip" if "META-INF/container.xml" in names else "application/zip"


def _ole_type(data: bytes, suffix: str) -> str:
    """Old Office files, Outlook messages, and the wrapping of encrypted new ones share one container; its stream names tell."""
    for name, kind in (
        ("EncryptedPackage", "application/x-ole-encrypted"),
        ("__substg1.0_", "application/vnd.ms-outlook"),
        ("WordDocument", "application/msword"),
        ("Workbook", "application/vnd.ms-excel"),
        ("PowerPoint Document", "application/vnd.ms-powerpoint"),
    ):
        if name.encode("utf-16-le") in data:
            return kind
    return BY_SUFFIX.get(suffix, "application/x-ole-storage")


def _text_type(blob: Blob, data: bytes, suffix: str) -> str:
    head = decode(data[:_HEAD]).lstrip("\ufeff").lstrip()
    language = code_language(blob.name)
    named = BY_SUFFIX.get(suffix, "text/x-source" if language else "")
    sniffed = _sniff(head, data, suffix)
    if sniffed and not (named == "text/x-source" or (named == "text/markdown" and sniffed in ("text/html", "message/rfc822"))):
        return sniffed
    if named in (
        "application/json",
        "application/x-ipynb+json",
        "application/vnd.ms-outlook",
        "application/rtf",
        "application/msword",
    ):
        named = ""  # the content is none of these, or it would have shown
    stated = blob.media_type.split(";")[0].strip().lower()
    if named and named != "text/plain":
        return named
    if stated.startswith("text/") and stated != "text/plain" and not named:
        return stated
    return _plain_kind(head, named)


def _plain_kind(head: str, named: str) -> str:
    if len(_MARKDOWN.findall(head)) >= 2 and not named:
        return "text/markdown"
    if _RST.search(head) and not named:
        return "text/x-rst"
    return "text/plain"


def _sniff(head: str, data: bytes, suffix: str) -> str:
    """The type that the text itself shows, or "" where it could be anything."""
    if head.startswith("WEBVTT") and not head[6:7].isalnum():
        return "text/vtt"
    if head[:1] in "{[" and head:
        return _json_type(head, data, suffix)
    if head.startswith("<"):
        return _markup_type(head, suffix)
    if _SRT.match(head):
        return "application/x-subrip"
    if _is_mail(head):
        return "message/rfc822"
    return ""


def _markup_type(head: str, suffix: str) -> str:
    low = head[:4000].lower()
    if head.startswith("<?xml") or (low.startswith("<!doctype") and not low.startswith("<!doctype html")):
        return "text/html" if re.search(r"<!doctype\s+html|<html[\s>]", low) else "application/xml"
    if suffix in (".xml", ".nxml", ".xbrl", ".rss", ".atom", ".svg"):
        return "application/xml"
    if _HTML.match(head) or re.search(r"<html[\s>]|<body[\s>]|<!doctype\s+html", low):
        return "text/html"
    if low.startswith("<!--") and _HTML.search(head):
        return "text/html"
    return "application/xml" if re.match(r"<([A-Za-z_][\w.:-]*)[\s>/]", head) and re.search(r"</[\w.:-]+>\s*\Z", head) else ""


def _json_type(head: str, data: bytes, suffix: str) -> str:
    if (
        suffix == ".ipynb"
        or ('"nbformat"' in head and '"cells"' in head)
        or (b'"nbformat"' in data[-2000:] and '"cells"' in head)
    ):
        return "application/x-ipynb+json"
    first = head.split("\n", 1)[0].strip()
    rest = head[len(first) :].lstrip()
    if suffix in (".jsonl", ".ndjson") or (rest[:1] in "{[" and rest and _is_json(first)):
        return "application/x-ndjson"
    if suffix in (".json", ".geojson") or (len(data) <= _HEAD and _is_json(head)):
        return "application/json"
    return "application/json" if re.match(r'\{\s*"[^"\n]*"\s*:|\[\s*(?:\{\s*"|\[|")', head) else ""


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _is_mail(head: str) -> bool:
    lines = head.removeprefix("From ").split("\n") if not head.startswith("From ") else head.split("\n")[1:]
    headers = 0
    for line in lines[:60]:
        line = line.rstrip("\r")
        if not line:
            break
        if not _MAIL_LINE.match(line):
            return False
        headers += bool(_MAIL.match(line))
    return headers >= 3
