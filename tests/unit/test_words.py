"""What a text is found under, and what a question asks for, without a database."""

from __future__ import annotations

import pytest

from catalog_registry.words import initials_of, lines_of, looks_personal, pinyin_of, read_question, words_of
from schemas.errors import RejectedError
from tests.catalogue_entry import CREDIT_CODE


def test_a_chinese_text_is_found_under_each_pair_of_characters_and_its_last_one() -> None:
    assert words_of("企业营业执照") == {"企业", "业营", "营业", "业执", "执照", "照"}
    assert words_of("照") == {"照"}


def test_words_and_names_are_found_whole_and_in_parts_in_small_letters_and_halfwidth() -> None:
    assert words_of("Holder_Number ＡＢＣ１２ 3070150500300/000001") == {
        "holder_number", "holder", "number", "abc12", "3070150500300/000001", "3070150500300", "000001",
    }  # fmt: skip


def test_what_is_mixed_is_found_under_each_of_its_parts() -> None:
    assert words_of("5G基站(2026版)") == {"5g", "基站", "站", "2026", "版"}


def test_first_letters_are_found_from_each_character_on() -> None:
    assert initials_of("营业执照") == {"yyzz", "yzz", "zz", "z"}
    assert any(one.startswith("yyzz") for one in initials_of("企业营业执照信息"))


@pytest.mark.parametrize(
    ("title", "letters"),
    [
        ("银行账户", ("yhzh", "yxzh")),
        ("行政处罚", ("xzcf", "hzcf")),
        ("会计人员", ("kjry", "hjry")),
        ("重庆市", ("cqs", "zqs")),
        ("重点企业", ("zdqy", "cdqy")),
        ("长期居住", ("cqjz", "zqjz")),
        ("机动车", ("jdc", "jdj")),
    ],
)
def test_a_character_of_two_readings_is_found_under_both_that_of_the_word_first(title: str, letters: tuple[str, str]) -> None:
    assert set(letters) <= initials_of(title)
    assert lines_of(title)[1] == letters[0]


def test_many_readings_do_not_multiply() -> None:
    assert len(initials_of("行长重会调单参藏传校" * 10)) <= 4 * 100


def test_pinyin_is_found_from_each_character_on() -> None:
    assert pinyin_of("营业执照") == {"yingyezhizhao", "yezhizhao", "zhizhao", "zhao"}


def test_a_question_of_two_characters_is_one_pair_and_a_longer_one_all_its_pairs() -> None:
    asked = read_question("执照")
    assert asked is not None
    assert asked.tsquery == "(('执照') | ('@执照'))"
    longer = read_question("营业执照  YYZZ")
    assert longer is not None
    assert longer.terms == ("营业执照", "yyzz")
    assert longer.tsquery == ("(('营业' & '业执' & '执照') | ('@营业' & '@业执' & '@执照')) & ('yyzz':* | '@yyzz':*)")


def test_one_character_asks_for_whatever_begins_with_it() -> None:
    asked = read_question("照")
    assert asked is not None
    assert asked.tsquery == "('照':* | '@照':*)"


def test_nothing_of_a_question_is_an_operator_of_the_query() -> None:
    asked = read_question("a' | 'b & !(c):* \\ <-> 营'业")
    assert asked is not None
    assert asked.terms == ("a", "b", "c", "营", "业")


def test_a_blank_question_asks_for_everything_and_one_without_words_or_too_long_is_refused() -> None:
    assert read_question("  　") is None
    for text in ("，。!", "字" * 101, " ".join(f"w{i}" for i in range(13))):
        with pytest.raises(RejectedError) as refusal:
            read_question(text)
        assert refusal.value.code == "search.words"
        assert text not in refusal.value.message


@pytest.mark.parametrize(
    "text",
    [
        "440221198001010011",
        "44022119800101001X",
        "440221 19800101 0011 的低保",
        "４４０２２１１９８００１０１００１１",
        "13800000000",
        "138-0000-0000",
        "0751-8888888",
        CREDIT_CODE,
        "MA4UR2XA1B 91440205",
        "li.na@example.cn",
        "粤F12345",
        "6222 0212 3456 7890",
    ],
)
def test_what_may_be_somebodys_number_is_seen(text: str) -> None:
    assert looks_personal(text)


@pytest.mark.parametrize("text", ["营业执照", "2026年统计", "5g基站", "yyzz", "gb 2312", "12 个镇 34 个村"])
def test_words_of_every_day_are_not_taken_for_a_number(text: str) -> None:
    assert not looks_personal(text)
