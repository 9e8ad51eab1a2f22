"""What a pool holds is bounded by bytes: large files do not wait in memory by the dozen."""

from __future__ import annotations

import pytest

from contextkit.documents import ParsePool, pool
from contextkit.types import Blob


@pytest.mark.parametrize(("limit", "ahead"), [(1_000, 1), (2_500, 3), (1 << 30, 4)])
def test_blobs_ahead_weigh_no_more_than_the_limit(monkeypatch: pytest.MonkeyPatch, limit: int, ahead: int) -> None:
    monkeypatch.setattr(pool, "_BYTES_AHEAD", limit)
    taken = []

    def blobs():
        for number in range(12):
            taken.append(number)
            yield Blob(id=str(number), name="a.txt", data=b"some words. " * 84)  # 1,008 bytes

    with ParsePool(workers=1) as workers:
        found = workers.run(blobs())
        blob, document = next(found)
        assert (blob.id, len(taken)) == ("0", ahead)
        assert document.text.startswith("some words.")  # type: ignore[union-attr]
        assert [b.id for b, _ in found] == [str(n) for n in range(1, 12)]


def test_a_file_that_is_not_there_weighs_nothing(tmp_path) -> None:
    (tmp_path / "a.txt").write_bytes(b"12345")
    assert pool._size(Blob(id="a", path=tmp_path / "a.txt")) == 5
    assert pool._size(Blob(id="b", path=tmp_path / "b.txt")) == 0
    assert pool._size(Blob(id="c")) == 0
