import random
import sys

import pytest
import speed

TEXT = "\n".join("the quick brown fox jumps over the lazy dog and then it rests a while under a tree" for _ in range(20))


def test_a_copy_differs_in_about_every_twelfth_word_and_keeps_its_lines():
    copy = speed.varied(TEXT, ["zebra"], random.Random(1))
    before, after = TEXT.split(" "), copy.split(" ")
    changed = sum(a != b for a, b in zip(before, after, strict=True))
    assert len(before) / 20 < changed <= len(before) / 12 + 1
    assert copy.count("\n") == TEXT.count("\n")


def test_a_copy_is_the_same_for_the_same_draw_only():
    words = [f"word{n}x" for n in range(50)]
    assert speed.varied(TEXT, words, random.Random(3)) == speed.varied(TEXT, words, random.Random(3))
    assert speed.varied(TEXT, words, random.Random(3)) != speed.varied(TEXT, words, random.Random(4))


@pytest.mark.parametrize(("have", "expected"), [(0, 1), (9_999, 1), (10_000, 8), (19_000, 8)])
def test_rounds_get_small_near_the_end(have, expected):
    assert speed.step(have, 20_000) == expected


def test_a_process_is_timed_and_its_output_is_given():
    seconds, printed = speed.timed([sys.executable, "-c", "print('done')"])
    assert printed.strip() == "done"
    assert 0 < seconds < 60


def test_a_process_that_fails_ends_the_run_with_its_message():
    with pytest.raises(SystemExit, match="ended with 3(.|\n)*broken"):
        speed.timed([sys.executable, "-c", "import sys; print('broken', file=sys.stderr); sys.exit(3)"])


def test_without_the_peers_interpreter_only_contextkit_is_measured(tmp_path):
    names = [name for name, _ in speed.systems(tmp_path, "*.txt", tmp_path / "no-python", ("auto", "float32"))]
    assert names == ["contextkit", "contextkit torch float32"]
    with_peer = speed.systems(tmp_path, "*.txt", speed.Path(sys.executable), ("auto",))
    assert with_peer[-1][0] == "langchain"
    assert "**/*.txt" in with_peer[-1][1]("index")


def test_the_tokens_of_a_folder_are_those_of_the_files_that_match(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.txt").write_text("one two three", encoding="utf-8")
    (tmp_path / "sub" / "b.txt").write_text("four five", encoding="utf-8")
    (tmp_path / "c.md").write_text("not counted", encoding="utf-8")
    assert speed.tokens_of(tmp_path, "*.txt") == 5


def test_what_a_user_would_write_indexes_a_folder(tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.txt").write_text("The parcel waits in room nine.", encoding="utf-8")
    (docs / "b.md").write_text("# Left out", encoding="utf-8")
    took = speed.compared(docs, "*.txt", tmp_path / "no-python", 1, ("auto",))
    own = took["systems"]["contextkit"]
    assert (own["documents"], own["failed"], own["chunks"], own["times_langchain"]) == (1, 0, 1, None)
    assert own["seconds"] > 0
