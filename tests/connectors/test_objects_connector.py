from __future__ import annotations

import io
import socket
import time
import traceback
import zipfile

import pytest

pytest.importorskip("moto")
pytest.importorskip("s3fs")

import boto3
import fsspec
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

from contextkit.connectors.objects import ObjectsConnector
from contextkit.errors import InputError, MissingExtra, SourceError
from contextkit.protocols import Connector
from contextkit.testing import ConnectorContract

SECRET = "very-secret-value"


@pytest.fixture(scope="module")
def endpoint():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(endpoint):
    client = boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id="test-key", aws_secret_access_key=SECRET, region_name="us-east-1"
    )
    client.create_bucket(Bucket="docs")
    yield client
    for bucket in client.list_buckets()["Buckets"]:
        empty(client, bucket["Name"])
    client.close()


def empty(client, bucket):
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        if page.get("Contents"):
            client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": item["Key"]} for item in page["Contents"]]})
    client.delete_bucket(Bucket=bucket)


def fill(bucket, *keys):
    """Empty objects, put into the server from within, which is quicker than a request for each."""
    backend = s3_backends["123456789012"]["aws"]
    for key in keys:
        backend.put_object(bucket, key, b"")


@pytest.fixture
def options(endpoint):
    return {"endpoint_url": endpoint, "key": "test-key", "secret": SECRET}


@pytest.fixture
def put(s3):
    return lambda key, body=b"text", **more: s3.put_object(Bucket="docs", Key=key, Body=body, **more)


def refs(connector, cursor=None):
    return [r for p in connector.list(cursor) for r in p.refs]


def paths(connector, cursor=None):
    return [r.metadata["path"] for r in refs(connector, cursor)]


class TestS3(ConnectorContract):
    @pytest.fixture(autouse=True)
    def bucket(self, s3, options):
        self.s3, self.options = s3, options
        for key in ("a.txt", "sub/b.md", "sub/c.md"):
            s3.put_object(Bucket="docs", Key=f"pre/{key}", Body=key.encode())

    def connector(self):
        return ObjectsConnector("s3://docs/pre", storage_options=self.options)

    def edit(self):
        self.s3.put_object(Bucket="docs", Key="pre/sub/b.md", Body=b"edited")
        return next(r.id for r in refs(self.connector()) if r.name == "b.md")

    def remove(self):
        gone = next(r.id for r in refs(self.connector()) if r.name == "c.md")
        self.s3.delete_object(Bucket="docs", Key="pre/sub/c.md")
        return gone

    def vanish(self):
        empty(self.s3, "docs")

    def test_is_a_connector(self):
        assert isinstance(self.connector(), Connector)


class TestMemory(ConnectorContract):
    @pytest.fixture(autouse=True)
    def filled(self):
        self.fs = fsspec.filesystem("memory")
        self.fs.store.clear()
        self.fs.pseudo_dirs[:] = [""]
        self.fs.pipe({"/m/a.txt": b"a", "/m/sub/b.txt": b"b"})
        yield
        self.fs.store.clear()

    def connector(self):
        return ObjectsConnector("memory://m")

    def edit(self):
        self.fs.pipe("/m/a.txt", b"edited")
        return next(r.id for r in refs(self.connector()) if r.name == "a.txt")

    def remove(self):
        gone = next(r.id for r in refs(self.connector()) if r.name == "b.txt")
        self.fs.rm("/m/sub/b.txt")
        return gone

    def vanish(self):
        self.fs.rm("/m", recursive=True)


class TestZip(ConnectorContract):
    @pytest.fixture(autouse=True)
    def archive(self, tmp_path):
        self.path = tmp_path / "docs.zip"
        self.write({"a.txt": "a", "deep/er/b.txt": "b", "deep/c.txt": "c"})

    def write(self, content):
        self.content = content
        with zipfile.ZipFile(self.path, "w") as file:
            for name, text in content.items():
                file.writestr(name, text)

    def connector(self):
        return ObjectsConnector(f"zip://{self.path}")

    def edit(self):
        self.write({**self.content, "a.txt": "z"})
        return next(r.id for r in refs(self.connector()) if r.name == "a.txt")

    def remove(self):
        gone = next(r.id for r in refs(self.connector()) if r.name == "b.txt")
        self.write({"a.txt": "a", "deep/c.txt": "c"})
        return gone

    def vanish(self):
        self.path.unlink()

    def test_a_folder_of_it(self):
        inner = ObjectsConnector(f"zip://deep::{self.path}")
        assert paths(inner) == ["c.txt", "er/b.txt"]
        assert [inner.fetch(r).read() for r in refs(inner)] == [b"c", b"b"]
        assert refs(inner)[0].uri == f"zip://deep/c.txt::file://{self.path}"


def test_what_s3_says_of_an_object(put, options):
    put("guide.bin", b"hello", ContentType="text/markdown; charset=utf-8")
    put("plain", b"x")
    connector = ObjectsConnector("s3://docs", storage_options=options, access=["group:eng"])
    guide, plain = refs(connector)
    assert guide.version == "5d41402abc4b2a76b9719d911017c592"  # the ETag: of a small object its MD5
    assert (guide.name, guide.size, guide.access) == ("guide.bin", 5, ("group:eng",))
    assert guide.uri == "s3://docs/guide.bin"
    assert guide.metadata["last_modified"].endswith("+00:00")
    assert connector.fetch(guide).media_type == "text/markdown"
    assert connector.fetch(plain).media_type == ""


def test_more_keys_than_one_answer_holds_come_in_parts_and_a_cursor_goes_on(put, options):
    fill("docs", *(f"many/{i:05}.txt" for i in range(2_103)))
    connector = ObjectsConnector("s3://docs/many", storage_options=options)
    pages = list(connector.list())
    assert [len(p.refs) for p in pages] == [1000, 1000, 103]
    assert [p.complete for p in pages] == [False, False, True]
    assert [p.cursor for p in pages] == ["00999.txt", "01999.txt", "02102.txt"]
    rest = list(connector.list(pages[1].cursor))
    assert [r.id for p in rest for r in p.refs] == [r.id for r in pages[2].refs]
    assert not any(p.complete for p in rest)


def test_a_bucket_that_disappears_in_the_middle_of_a_listing(s3, put, options):
    fill("docs", *(f"{i:05}" for i in range(1_500)))
    listing = ObjectsConnector("s3://docs", storage_options=options).list()
    assert not next(listing).complete
    empty(s3, "docs")
    with pytest.raises(SourceError, match="s3://docs .*cannot be listed"):
        list(listing)
    s3.create_bucket(Bucket="docs")


def test_odd_keys_come_back_as_they_are(put, options):
    odd = [
        "a b.txt", "a+b.txt", "a%20b.txt", "100%.txt", "q?x=1.txt", "hash#1.txt", "star*[x].txt", "é/ü.txt", "日本.txt",
        "tab\there.txt", "a//b.txt", "quote'\".txt", "back\\slash.txt", "&amp;.txt", "😀.txt", "ﬁ.txt",
    ]  # fmt: skip
    for key in odd:
        put(f"odd pre+fix/{key}", key.encode())
    connector = ObjectsConnector("s3://docs/odd pre+fix", storage_options=options)
    listed = refs(connector)
    assert len({r.id for r in listed}) == len(odd)
    assert {connector.fetch(r).read().decode() for r in listed} == set(odd)
    for r in listed:
        after = [x.id for x in refs(connector, str(r.metadata["path"]))]
        assert after == [x.id for x in listed[[x.id for x in listed].index(r.id) + 1 :]]


def test_a_prefix_is_a_folder_not_the_start_of_a_name(put, options):
    for key in ("docs/a.txt", "docs-old/b.txt", "docs.txt", "docs/sub/", "docs/.hidden", "docs/drafts/x.txt"):
        put(key)
    assert paths(ObjectsConnector("s3://docs/docs/", storage_options=options, exclude="drafts/")) == ["a.txt"]
    assert paths(ObjectsConnector("s3://docs/docs", storage_options=options, glob="x.*")) == ["drafts/x.txt"]


def test_one_object(put, options):
    put("deep/one.txt", b"only")
    connector = ObjectsConnector("s3://docs/deep/one.txt", storage_options=options)
    (page,) = connector.list()
    assert page.complete
    assert [connector.fetch(r).read() for r in page.refs] == [b"only"]


def test_an_empty_bucket_and_prefix_are_empty_complete_listings(s3, options):
    for url in ("s3://docs", "s3://docs/nothing/here"):
        (page,) = ObjectsConnector(url, storage_options=options).list()
        assert (page.refs, page.complete) == ((), True)


def test_ids_do_not_depend_on_how_the_url_was_written(put, options):
    put("pre/a.txt")
    ways = [ObjectsConnector(u, storage_options=options) for u in ("s3://docs/pre", "s3://docs/pre/", "s3a://docs/pre")]
    assert len({r.id for c in ways for r in refs(c)}) == len({c.source for c in ways}) == 1
    assert ObjectsConnector("s3://docs/pre").source != ways[0].source, "another endpoint is another place"


def test_an_object_that_changed_since_it_was_listed_is_not_taken_for_the_listed_one(put, options):
    put("a.txt", b"one")
    connector = ObjectsConnector("s3://docs", storage_options=options)
    (ref,) = refs(connector)
    put("a.txt", b"two")
    with pytest.raises(SourceError, match="changed since it was listed"):
        connector.fetch(ref)


def test_large_objects_are_not_fetched(put, options):
    put("a.txt", b"x" * 100)
    connector = ObjectsConnector("s3://docs", storage_options=options, max_bytes=99)
    with pytest.raises(SourceError, match="100 bytes, over the limit of 99"):
        connector.fetch(refs(connector)[0])


def test_refs_of_others_are_refused(put, options):
    put("a.txt")
    (ref,) = refs(ObjectsConnector("s3://docs", storage_options=options))
    with pytest.raises(SourceError, match="no document of s3://elsewhere"):
        ObjectsConnector("s3://elsewhere", storage_options=options).fetch(ref)


def test_no_such_bucket(s3, options):
    with pytest.raises(SourceError, match=r"s3://no-such-bucket.*no such place"):
        list(ObjectsConnector("s3://no-such-bucket/x", storage_options=options).list())


def test_no_rights(endpoint, s3, put, options):
    put("a.txt")
    connector = ObjectsConnector("s3://docs", storage_options={**options, "config_kwargs": {"connect_timeout": 3}})
    connector._open()[0].call_s3 = refuse
    with pytest.raises(SourceError, match="access denied") as raised:
        list(Kept(connector).list())
    assert SECRET not in "".join(traceback.format_exception(raised.value))


def refuse(*_, **__):
    raise PermissionError(f"Access Denied for secret={SECRET}")


class Kept:
    """Lists with the storage that is open already."""

    def __init__(self, connector):
        self.connector, opened = connector, connector._open()
        connector._open = lambda: opened

    def list(self):
        return self.connector.list()


def closed_port():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


def test_no_network_is_told_soon():
    options = {"endpoint_url": f"http://127.0.0.1:{closed_port()}", "key": "test-key", "secret": SECRET}
    connector = ObjectsConnector("s3://docs/x", storage_options=options)
    started = time.monotonic()
    with pytest.raises(SourceError, match="does not answer") as raised:
        list(connector.list())
    assert time.monotonic() - started < 60
    assert SECRET not in "".join(traceback.format_exception(raised.value))


def test_credentials_of_an_endpoint_are_in_no_name_and_no_message():
    options = {"endpoint_url": f"http://user:{SECRET}@127.0.0.1:{closed_port()}", "key": "test-key", "secret": "other-secret"}
    connector = ObjectsConnector("s3://docs/x", storage_options=options)
    with pytest.raises(SourceError, match="cannot be listed") as raised:
        list(connector.list())
    for text in ("".join(traceback.format_exception(raised.value)), connector.source, repr(connector)):
        assert SECRET not in text


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nosuch://x", "no storage is known by 'nosuch'"),
        ("https://example.com/docs", "does not list"),
    ],
)
def test_urls_that_cannot_work(url, message):
    with pytest.raises(InputError, match=message):
        ObjectsConnector(url)


def test_a_missing_package_names_its_extra(monkeypatch):
    def missing(scheme):
        raise ImportError(f"install {scheme}")

    monkeypatch.setattr(fsspec, "get_filesystem_class", missing)
    for url, extra in (("s3://b", "s3"), ("gcs://b", "gcs"), ("abfss://c@a/x", "azure"), ("sftp://h/x", "sftp")):
        with pytest.raises(MissingExtra, match=rf"contextkit\[{extra}\]"):
            ObjectsConnector(url)


def test_a_password_in_a_url_is_in_no_name(monkeypatch):
    monkeypatch.setattr(fsspec, "get_filesystem_class", lambda scheme: None)
    connector = ObjectsConnector("sftp://ann:pa55word@host/docs")
    assert connector.source == "objects:sftp://host/docs"
    assert "pa55" not in repr(connector)


def test_an_archive_in_a_bucket(put, options):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr("inner/a.txt", "zipped")
    put("docs.zip", data.getvalue())
    connector = ObjectsConnector("zip://inner::s3://docs/docs.zip", storage_options={"s3": options})
    (ref,) = refs(connector)
    assert connector.fetch(ref).read() == b"zipped"


def test_folders_are_walked_in_the_order_of_paths_and_a_cursor_skips_what_is_done(tmp_path):
    for path in ("a/x", "a-b", "a.txt", "B", "é", "a/y/z", "c/d"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    connector = ObjectsConnector(f"file://{tmp_path}")
    found = paths(connector)
    assert found == ["B", "a-b", "a.txt", "a/x", "a/y/z", "c/d", "é"]
    for i, path in enumerate(found):
        assert paths(connector, path) == found[i + 1 :]
    (tmp_path / "link").symlink_to(tmp_path)
    assert paths(connector) == found


def test_a_folder_that_is_gone_is_an_error(tmp_path):
    with pytest.raises(SourceError, match="no such place"):
        list(ObjectsConnector(f"file://{tmp_path}/nowhere").list())
