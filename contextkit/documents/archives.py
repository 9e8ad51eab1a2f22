"""Zip archives and XML opened safely: bombs are refused before anything is inflated or expanded, nothing is fetched.

The office, book and XML parsers go through here; they never open an archive or XML on their own.
"""

from __future__ import annotations

import io
import re
import zipfile
from typing import TYPE_CHECKING

from contextkit.errors import DocumentTooLarge, EncryptedDocument, ParseError

if TYPE_CHECKING:
    from lxml import etree

_MEMBERS = 50_000
_INFLATED = 1 << 30
_MEMBER = 400 << 20
_RATIO = 150
_SUBSET = re.compile(rb"<!DOCTYPE[^\[>]*\[(.*?)\]\s*>", re.DOTALL)
_ENTITY = re.compile(rb"""<!ENTITY\s+(?:%\s+)?([\w.:-]+)\s+("[^"]*"|'[^']*')\s*>""")


def open_zip(data: bytes, what: str) -> zipfile.ZipFile:
    """The archive, checked: no more than 50,000 members, 1 GiB inflated, 400 MiB a member, and no member deflated over 150 to 1.

    Raises:
        ParseError: it is damaged, or a bomb (DocumentTooLarge).
        EncryptedDocument: a member has a password.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
        raise ParseError(f"{what}: the archive is damaged ({error}); export the document again") from error
    members = archive.infolist()
    total = sum(m.file_size for m in members)
    if len(members) > _MEMBERS or total > _INFLATED:
        raise DocumentTooLarge(
            f"{what}: the archive holds {len(members):,} members of {total:,} bytes inflated; at most {_MEMBERS:,} members and "
            f"{_INFLATED:,} bytes are read"
        )
    for member in members:
        if member.flag_bits & 1:
            raise EncryptedDocument(f"{what}: the archive's member {member.filename!r} is encrypted; save it without a password")
        if member.file_size > _MEMBER or (
            member.file_size > 20 << 20 and member.file_size > _RATIO * max(1, member.compress_size)
        ):
            raise DocumentTooLarge(
                f"{what}: member {member.filename!r} inflates from {member.compress_size:,} to {member.file_size:,} bytes, which "
                f"looks like a zip bomb; at most {_MEMBER:,} bytes and a ratio of {_RATIO} are read"
            )
    return archive


def read_member(archive: zipfile.ZipFile, name: str, what: str) -> bytes:
    """A member's bytes. Raises ParseError where it is missing or damaged."""
    try:
        return archive.read(name)
    except KeyError as error:
        raise ParseError(f"{what}: the archive lacks {name!r}; the file is damaged or not what it says") from error
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, ValueError) as error:
        raise ParseError(f"{what}: the archive's member {name!r} is damaged ({error})") from error


def check_entities(data: bytes, what: str) -> dict[str, str]:
    """The plain entities that an XML head defines, by name. Raises ParseError where entities are built of entities: a bomb."""
    # an encoding of more than one byte a character would hide the head from a search in bytes
    head = data[: 1 << 20].replace(b"\0", b"") if b"\0" in data[:200] else data[: 1 << 20]
    found = _SUBSET.search(head)
    if found is None:
        if b"<!ENTITY" in head and _ENTITY.search(head) and b"&" in head:
            raise ParseError(f"{what}: the XML declares entities in an unreadable head; it is refused")
        return {}
    entities: dict[str, str] = {}
    for name, value in _ENTITY.findall(found.group(1)):
        if re.search(rb"&(?!#)[\w.:-]+;|%[\w.:-]+;", value):
            raise ParseError(
                f"{what}: the XML defines the entity {name.decode('utf-8', 'replace')!r} by other entities (an entity bomb); "
                "it is refused, write the entities out"
            )
        entities[name.decode("utf-8", "replace")] = value[1:-1].decode("utf-8", "replace")[:2000]
    return entities


def xml_root(data: bytes, what: str, *, recover: bool = False) -> etree._Element:
    """The root element, with no entity expanded, no DTD read and nothing fetched. Raises ParseError where it is not XML."""
    from lxml import etree

    check_entities(data, what)
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        recover=recover,
        remove_pis=True,
        remove_comments=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise ParseError(f"{what}: the XML is malformed ({error})") from error
    if root is None:
        raise ParseError(f"{what}: the XML has no element")
    return root
