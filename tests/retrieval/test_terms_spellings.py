"""What is written in several ways and is one: numbers in groups, names with signs, letters of other scripts, what nobody sees."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

import contextkit as ck
from contextkit.retrieval.spellings import evened
from contextkit.retrieval.terms import content_terms, occurrences, terms
from contextkit.testing import TinyEmbedder


@pytest.mark.parametrize(
    "written",
    ["1,250", "1\u00a0250", "1\u2009250", "1\u202f250", "1'250", "1’250", "1250", "1.250", "1,250.50", "500-1,250", "x:1,250,"],
)
def test_a_number_is_found_however_it_is_grouped(written):
    assert {"1250", "1250_50"} & set(terms(f"paid {written} euros"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,250,000", ["1", "250", "000", "1250000"]),
        ("12,50,000", ["12", "50", "000", "1250000"]),
        ("1.250.000", ["1", "250", "000", "1_250_000", "1250000"]),
        ("3.14", ["3", "14", "3_14"]),
        ("0,250", ["0", "250"]),
        ("0.250", ["0", "250", "0_250"]),
        ("1,2505", ["1", "2505"]),
        ("1234,567", ["1234", "567"]),
        ("3,1,250", ["3", "1", "250"]),
        ("1,250,4", ["1", "250", "4"]),
        ("1, 250", ["1", "250"]),
        ("x1,250", ["x1", "250"]),
        ("1,250km", ["1", "250km"]),
    ],
)
def test_groups_of_three_digits_make_a_number_and_nothing_else_does(text, expected):
    assert terms(text) == expected


def test_a_question_is_of_the_number_and_not_of_its_groups():
    assert content_terms("Who paid 1,250 euros?") == ["paid", "1250", "euro"]
    assert content_terms("Who paid 1'250.50?") == ["paid", "1", "250", "1250", "50", "1250_50"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("K-40", "k40"),
        ("COVID-19", "Covid19"),
        ("SARS-CoV-2", "SARS-CoV2"),
        ("C++", "cpp"),
        ("c++20", "CPP20"),
        ("C#", "CSharp"),
        ("F#", "fsharp"),
        (".NET", "dotnet"),
        ("Straße", "STRASSE"),
        ("München", unicodedata.normalize("NFD", "MÜNCHEN")),
        ("Zusammenarbeit", "Zu\u00adsam\u00admen\u00adar\u00adbeit"),
        ("keyboard", "key\u200bboard"),
        ("HttpClient", "Http\u200bClient"),
        ("API", "APIs"),
        ("LLM", "LLMs"),
        ("пароли", "паролей"),
        ("Ёлка", "елка"),
        ("كلمة", "كَلِمَة"),
        ("الاجتماع", "اجتماع"),
        ("ΟΔΟΣ", "οδός"),
        ("छुट्टी", "छुट्टियाँ"),
        ("한국", unicodedata.normalize("NFD", "한국")),
        ("٢٠٢٤", "2024"),
    ],
)
def test_two_spellings_share_a_term_that_stands_for_the_whole(one, other):
    assert terms(one)[-1] in terms(other) or terms(other)[-1] in terms(one)
    assert set(content_terms(one)) & set(terms(other))


def test_names_with_signs_are_not_the_letter_alone():
    assert terms("C++ or C#, F# and .NET") == ["cpp", "or", "csharp", "fsharp", "and", "dotnet", "dot", "net"]
    assert terms("C/C++ C++-Code ASP.NET foo.net") == ["c", "cpp", "cpp", "code", "cpp_code", "asp", "net", "asp_net", "foo", "net", "foo_net"]  # fmt: skip
    assert terms("# C, a+b, x++, abc#") == ["c", "a", "b", "a_b", "x", "abc"]
    assert "cpp" not in terms("C") + terms("C+") + terms("C+++") + terms("abC++")


def test_plural_capitals_are_no_humps():
    assert terms("APIs") == ["api"]
    assert terms("getAPIsNow") == ["getapisnow", "get", "api", "now"]


def test_words_with_marks_stay_whole():
    assert len(terms("भाषा")) == len(terms("كَلِمَة")) == len(terms("Mu\u0308nchen")) == len(terms("ক্ষেত্র")) == 1


KOREAN = {
    "password": "비밀번호를 변경하려면 설정 메뉴에서 보안을 선택하십시오.",
    "meeting": "회의는 매주 월요일 오전 열 시에 시작됩니다.",
    "parking": "주차장은 지하 이층에 있으며 등록이 필요합니다.",
    "leave": "휴가는 삼 주 전에 신청해야 합니다.",
    "canteen": "식당은 일층 입구 옆에 있습니다.",
}
KOREAN_ASKED = [
    ("비밀번호는 어떻게 바꾸나요?", "password"),
    ("회의가 언제 시작하나요?", "meeting"),
    ("주차장이 어디에 있나요?", "parking"),
    ("휴가를 언제 신청하나요?", "leave"),
    ("식당이 어디죠?", "canteen"),
]
RUSSIAN = {
    "password": "Пароль меняют в настройках раздела безопасности.",
    "meeting": "Собрание начинается каждый понедельник в десять часов.",
    "parking": "Автостоянка находится в подвале и требует регистрации.",
    "printer": "Принтеры обслуживает отдел снабжения.",
    "contract": "Договоры хранятся в архиве десять лет.",
}
RUSSIAN_ASKED = [
    ("Где изменить пароли?", "password"),
    ("Когда начало собраний?", "meeting"),
    ("Где автостоянки?", "parking"),
    ("Кто занимается принтером?", "printer"),
    ("Сколько лет хранится договор?", "contract"),
]
ARABIC = {
    "password": "يمكن تغيير كلمة المرور من قائمة الإعدادات.",
    "meeting": "يبدأ الاجتماع كل يوم اثنين في العاشرة صباحا.",
    "parking": "يقع الموقف في الطابق السفلي ويتطلب التسجيل.",
    "canteen": "توجد الكافتيريا في الطابق الأول قرب المدخل.",
}
ARABIC_ASKED = [
    ("كيف أغير كَلِمَة مرور؟", "password"),
    ("متى اجتماع الفريق؟", "meeting"),
    ("أين موقف السيارات؟", "parking"),
    ("أين مدخل الكافتيريا؟", "canteen"),
]
INVOICES = {
    f"n{n}": f"Customer {n} has paid the invoice of {amount} euros for the plant."
    for n, amount in enumerate(["1,250", "12,500", "125,000", "1,205", "2,150", "5,120", "1,520", "10,250"])
}
INVOICES_ASKED = [("invoice of 1250 euros", "n0"), ("125'000 euros", "n2"), ("the 10250 euro invoice", "n7"), ("2.150", "n4")]


def best_by_words(catalog, question):
    ids, _ = catalog.lexical(content_terms(question), 1, catalog.visible().allowed)
    return catalog.documents_of([chunk.content_id for chunk in catalog.chunks(ids)], catalog.visible()) if len(ids) else {}


@pytest.mark.parametrize(
    ("corpus", "asked"),
    [(KOREAN, KOREAN_ASKED), (RUSSIAN, RUSSIAN_ASKED), (ARABIC, ARABIC_ASKED), (INVOICES, INVOICES_ASKED)],
    ids=["ko", "ru", "ar", "numbers"],
)
def test_questions_find_by_their_words_the_page_that_answers_them(tmp_path, corpus, asked):
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        kit.add([ck.Document(id=name, text=text) for name, text in corpus.items()])
        found = {
            question: [d.id for documents in best_by_words(kit.catalog, question).values() for d in documents]
            for question, _ in asked
        }
    assert found == {question: [name] for question, name in asked}


WRITTEN = (
    "1,250 1'250 1’250 1.250 1.250.000 12,50,000 1,250.50 500-1,250 110,112 1250 12500 K-40 K40 K1'250 K-1,250 COVID-19 sars-CoV-2 "
    "v2.13 10-year C++ c++ C++20 C# F# .NET .net APIs LLMs getAPIsNow Straße Mu\u0308nchen Zu\u00adsam भाषा 비밀번호를 пароли كَلِمَة "
    "1\u00a0250 a1b2c3 a-1-b dying die flies \u200b ' , . - + # \n"
).split(" ")
LETTERS = "aBc1290,.'’-+# _C\u00a0\u00ad\u200d\n\ue000\ue001é東가NnetET"
mixed = st.one_of(
    st.tuples(st.sampled_from(["", " ", "-", ",", "'", "."]), st.lists(st.sampled_from(WRITTEN), max_size=6)).map(
        lambda t: t[0].join(t[1])
    ),
    st.text(alphabet=LETTERS, max_size=25),
)


@given(st.lists(mixed, max_size=3), mixed)
def test_occurrences_are_what_terms_gives(texts, word):
    wanted = list(dict.fromkeys((*content_terms(word), *terms(word), *(t for text in texts[:1] for t in terms(text)))))
    found = occurrences(texts, wanted)
    expected = [(n, wanted.index(t)) for n, text in enumerate(texts) for t in terms(text) if t in wanted]
    assert list(zip(found.text.tolist(), found.term.tolist(), strict=True)) == expected


@given(mixed)
def test_offsets_hold_and_terms_are_letters_and_digits(text):
    assert len(evened(text)) == len(text)
    assert evened(evened(text)) == evened(text)
    assert all(t and t.replace("_", "a").isalnum() for t in terms(text))


def test_a_place_is_that_of_the_written_word():
    text = "It’s  1\u00a0250 in C++."
    found = occurrences([text], ["1250", "cpp"])
    assert [text[at:] for at in found.at.tolist()] == ["1\u00a0250 in C++.", "C++."]
