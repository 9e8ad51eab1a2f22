"""Outlook messages (.msg): as mail, through python-oxmsg."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from contextkit.documents.building import Builder, Source, clean, iso_date, one_line
from contextkit.documents.parsers.html import add_html
from contextkit.documents.parsers.mail import add_attachment, add_body
from contextkit.types import Blob, Document

if TYPE_CHECKING:
    from oxmsg import Message


def read(source: Source) -> Document:
    """The message; its title is the subject."""
    from oxmsg import Message

    message = Message.load(io.BytesIO(source.data))
    builder = Builder(title=one_line(message.subject or ""))
    to = ", ".join(_person(r.name, r.email_address) for r in message.recipients)
    sent = iso_date(message.sent_date)
    sender = one_line(message.sender or "")
    attachments = [(one_line(a.file_name or "attachment"), a.mime_type or "", a.file_bytes or b"") for a in message.attachments]
    builder.metadata.update(author=sender, created=sent, to=to, attachments=[name for name, _, _ in attachments])
    builder.heading(builder.title, 1)
    facts = (("From", sender), ("To", to), ("Date", sent))
    builder.paragraph("\n".join(f"{name}: {value}" for name, value in facts if value))
    _body(builder, message)
    for number, (name, kind, data) in enumerate(attachments[:50], 1):
        add_attachment(builder, source, Blob(f"{source.blob.id}#{number}", name=name, media_type=kind, data=data))
    return builder.build(source)


def _body(builder: Builder, message: Message) -> None:
    if message.body and message.body.strip():
        add_body(builder, clean(message.body))
    elif message.html_body:
        title = builder.title
        add_html(builder, clean(message.html_body))
        builder.title = title


def _person(name: str, address: str) -> str:
    name, address = one_line(name or ""), one_line(address or "")
    return f"{name} <{address}>" if name and address and name != address else address or name
