"""Questions in languages written without spaces, or with signs on their letters, over small corpora; and what is remembered."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

import contextkit as ck
from contextkit.retrieval import terms as module
from contextkit.retrieval.terms import content_terms, occurrences, terms
from contextkit.testing import TinyEmbedder

CHINESE = {
    "leave": "员工手册第三章：年假。正式员工每年享有十五天带薪年假。未使用的年假最多可以结转五天到下一年度，并且必须在三月三十一日之前使用完毕。",
    "sick": "病假规定：员工因病不能上班时，应在当天上午九点之前通知主管。连续病假超过三天的，需要提交医院开具的诊断证明。",
    "travel": "出差报销：火车车程不超过六小时的，一律乘坐火车。超过六小时的可以乘坐飞机经济舱。住宿费每晚不超过五百元。",
    "security": "信息安全：所有笔记本电脑必须加密硬盘。密码至少十二位，每半年更换一次。丢失设备请立即联系信息技术部门。",
    "pump": "水泵维护说明：更换滤芯之前请先关闭水泵电源，并等待压力表指针归零。滤芯每六个月更换一次。",
    "remote": "远程办公：每周最多两天可以在家办公，需要提前一天与团队负责人商定。试用期内不适用远程办公。",
}
CHINESE_ASKED = [
    ("没用完的年假能结转到明年吗？", "leave"),
    ("病假几天以上需要医院的诊断证明？", "sick"),
    ("什么时候可以坐飞机出差？", "travel"),
    ("密码多久更换一次？", "security"),
    ("怎么更换水泵的滤芯？", "pump"),
    ("试用期可以在家办公吗", "remote"),
]
JAPANESE = {
    "leave": "年次有給休暇は毎年十五日付与されます。使い切れなかった休暇は五日まで翌年に繰り越すことができますが、三月末までに取得してください。",
    "sick": "病気で休む場合は、当日の午前九時までに上司に連絡してください。三日を超えて欠勤するときは、医師の診断書が必要です。",
    "travel": "出張では、六時間以内の移動には新幹線を利用します。六時間を超える場合は飛行機のエコノミークラスを利用できます。",
    "security": "ノートパソコンのハードディスクは必ず暗号化してください。パスワードは十二文字以上とし、半年ごとに変更します。",
    "dog": "犬の予防接種は年に一回です。狂犬病のワクチンは、毎年四月から六月までの間に受けてください。散歩は一日二回が目安です。",
    "tea": "お茶をいれるときは、八十度のお湯を使います。茶葉は一人分で小さじ一杯、蒸らす時間は一分ほどです。",
}
JAPANESE_ASKED = [
    ("休暇は翌年に繰り越せますか？", "leave"),
    ("診断書はいつ必要ですか", "sick"),
    ("飛行機に乗ってもよいのはどんなときですか？", "travel"),
    ("パスワードはどのくらいの頻度で変更しますか", "security"),
    ("犬にワクチンを打つのはいつ？", "dog"),
    ("茶の温度は何度？", "tea"),
]
OTHERS = {
    "hindi": "कर्मचारी हर साल पंद्रह दिन की छुट्टी ले सकते हैं। बची हुई छुट्टी अगले साल मार्च तक ली जा सकती है।",
    "hindi-2": "पंप का फ़िल्टर बदलने से पहले बिजली बंद कर दें और दबाव शून्य होने की प्रतीक्षा करें।",
    "thai": "พนักงานมีสิทธิลาพักร้อนปีละสิบห้าวัน วันลาที่เหลือสามารถยกไปใช้ในปีถัดไปได้ไม่เกินห้าวัน",
    "thai-2": "ก่อนเปลี่ยนไส้กรองต้องปิดปั๊มน้ำและรอให้ความดันลดลงจนเป็นศูนย์",
    "russian": "Сотрудники имеют право на пятнадцать дней отпуска в году. Остаток отпуска переносится на следующий год.",
}
OTHERS_ASKED = [
    ("छुट्टी अगले साल ली जा सकती है क्या?", "hindi"),
    ("फ़िल्टर कैसे बदलें", "hindi-2"),
    ("วันลาพักร้อนยกไปปีหน้าได้ไหม", "thai"),
    ("เปลี่ยนไส้กรองอย่างไร", "thai-2"),
    ("отпуска", "russian"),
]


@pytest.mark.parametrize(
    ("corpus", "asked"),
    [(CHINESE, CHINESE_ASKED), (JAPANESE, JAPANESE_ASKED), (OTHERS, OTHERS_ASKED)],
    ids=["zh", "ja", "others"],
)
def test_questions_find_the_page_that_answers_them(tmp_path, corpus, asked):
    with ck.open(tmp_path / "index", embedder=TinyEmbedder(dimension=1024)) as kit:
        kit.add([ck.Document(id=name, text=text) for name, text in corpus.items()])
        found = {question: kit.search(question, k=1)[0].document_id for question, _ in asked}
        packet = kit.context(asked[0][0], budget=200)
    assert found == dict(asked)
    assert asked[0][1] in {cited.document_id for cited in packet.receipt.citations}


def test_a_question_keeps_what_can_carry_it():
    assert content_terms("犬の予防接種はいつですか") == ["犬", "予防", "防接", "接種"]
    assert content_terms("公司的年假是多少") == ["公司", "年假", "假是"]
    assert content_terms("りんごはどこにありますか") == ["りん", "んご"]
    assert content_terms("茶") == ["茶"]
    assert content_terms("什么") == terms("什么")  # nothing else is there
    assert set(content_terms("データベースの速度")) <= set(terms("データベースの速度"))


@pytest.mark.parametrize("text", ["犬の予防接種はいつですか", "हिन्दी में छुट्टी", "ร้อน HIVガス", "é\u0301 \u0301a a\u0301-b \u0e31x"])
def test_occurrences_are_what_terms_gives(text):
    wanted = list(dict.fromkeys(terms(text)))
    found = occurrences([text, text], wanted)
    assert [wanted[i] for i in found.term.tolist()] == terms(text) * 2


def test_what_is_remembered_stays_small_whatever_is_read():
    module._remembered.cache_clear()
    gc.collect()
    tracemalloc.start()
    try:
        for n in range(1_500):  # runs that never come again, of any script, and words without end
            letters = "".join(chr(0x4E00 + (n * 7919 + i * 104_729) % 20_000) for i in range(16))
            terms(f"{letters} {letters[:8]}の{letters[8:]} {'x' * 100}{n}")
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
        assert held < 2**20
        for n in range(8_000):
            terms(f"word{n}Camel_case{n:x}")
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
        assert held / 8_000 * module._remembered.cache_info().maxsize < 80 * 2**20
    finally:
        tracemalloc.stop()


def test_a_line_of_millions_of_letters_is_taken_apart_once_and_in_order():
    line = "春夏秋冬" * 100_000
    found = terms(line)
    assert len(found) == 2 * len(line) - 1
    assert terms("x-" * 300_000 + "x")[-1].startswith("x_x_x")
