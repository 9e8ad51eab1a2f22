"""Mail (.eml): subject, people and date as metadata and first lines, the body, and the text of attachments that can be read.

Plain text is preferred to HTML where both say the same. Nothing is fetched, not even inline pictures.
"""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterator
from email.message import EmailMessage
from email.utils import parsedate_to_datetime

from contextkit.documents.building import Builder, Source, clean, flowing, one_line, text_paragraphs
from contextkit.documents.charset import decode
from contextkit.documents.parsers.html import add_html
from contextkit.errors import ParseError
from contextkit.types import JSON, Blob, BlockKind, Document

_ATTACHMENTS = 50
_HEADERS = ("From", "To", "Cc", "Date")


def read(source: Source) -> Document:
    """The mail; its title is the subject."""
    data = source.data
    if data.startswith(b"From "):  # the first line of a mailbox
        data = data.partition(b"\n")[2]
    message = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    builder = Builder(title=header(message, "Subject"))
    sent = _date(header(message, "Date"))
    builder.metadata.update(
        author=header(message, "From"),
        created=sent,
        to=header(message, "To"),
        cc=header(message, "Cc"),
        message_id=header(message, "Message-ID"),
        in_reply_to=header(message, "In-Reply-To"),
    )
    builder.heading(builder.title, 1)
    builder.paragraph("\n".join(f"{name}: {value}" for name in _HEADERS if (value := header(message, name))))
    body = message.get_body(("plain", "html"))
    if isinstance(body, EmailMessage):
        _body(builder, body)
    attachments = list(_attachments(message, body))
    builder.metadata["attachments"] = [name for name, _, _ in attachments]
    for number, (name, kind, content) in enumerate(attachments[:_ATTACHMENTS], 1):
        add_attachment(builder, source, Blob(f"{source.blob.id}#{number}", name=name, media_type=kind, data=content))
    return builder.build(source)


def header(message: EmailMessage, name: str) -> str:
    """A header's text, or "" where it is missing or broken."""
    try:
        return one_line(str(message.get(name, "")))
    except (
        ValueError,
        TypeError,
        IndexError,
        AttributeError,
        LookupError,
    ):  # the standard library trips over some broken headers
        return one_line(next((str(v) for k, v in message.raw_items() if k.lower() == name.lower()), ""))


def _date(value: str) -> str:
    try:
        return parsedate_to_datetime(value).isoformat() if value else ""
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""


def _content(part: EmailMessage) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _body(builder: Builder, part: EmailMessage) -> None:
    text = clean(decode(_content(part), part.get_content_charset() or ""))
    if part.get_content_type() == "text/html":
        title, language = builder.title, builder.language
        add_html(builder, text)
        builder.title, builder.language = title, language or builder.language
    else:
        add_body(builder, text)


def add_body(builder: Builder, text: str) -> None:
    """Append a plain body: paragraphs, and what it quotes as quotations."""
    for paragraph in text_paragraphs(text):
        lines = flowing(paragraph).split("\n")
        quoted = all(line.startswith(">") for line in lines)
        builder.add(BlockKind.QUOTE if quoted else BlockKind.PARAGRAPH, "\n".join(lines))


def _attachments(message: EmailMessage, body: object) -> Iterator[tuple[str, str, bytes]]:
    """(name, media type, bytes) of the parts that are attached; the alternatives and pictures of the body are none."""
    for part in message.walk():
        if part is body or (part.is_multipart() and part.get_content_type() != "message/rfc822"):
            continue
        kind = part.get_content_type()
        name = one_line(part.get_filename() or "")
        if kind == "message/rfc822":
            inner = part.get_payload()
            if isinstance(inner, list) and inner and isinstance(inner[0], EmailMessage):
                yield name or "message.eml", kind, inner[0].as_bytes()
        elif isinstance(part, EmailMessage) and (name or part.get_content_disposition() == "attachment"):
            yield name or f"attachment.{part.get_content_subtype()}", kind, _content(part)


def add_attachment(builder: Builder, source: Source, blob: Blob) -> None:
    """Append an attachment under its name as a heading: its text, or a line that says why there is none."""
    builder.heading(f"Attachment: {blob.name}", 2)
    if source.nested is None or (blob.media_type or "").startswith(("image/", "audio/", "video/")):
        return
    try:
        document = source.nested(blob)
    except ParseError as error:
        unread: JSON = builder.metadata.setdefault("unread_attachments", [])
        assert isinstance(unread, list)
        unread.append(f"{blob.name}: {error}"[:300])
        return
    if document.blocks:
        builder.extend(document, 2)
    else:
        for paragraph in text_paragraphs(document.text):
            builder.paragraph(paragraph)
