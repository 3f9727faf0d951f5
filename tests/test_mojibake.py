"""Text that was read in the wrong encoding once: mended where nothing is lost, told where it is."""

import contextlib
import csv

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatial.errors import DataError
from spatial.load import check_site, read_site
from spatial.load.encodings import is_common
from spatial.load.mojibake import garbled, unscrambled
from tests.drawn_village import CRS, DEFAULT, HOUSES, X0, Y0, at, codes, faults, geojson, with_input

COMMON = [each for each in map(chr, range(0x4E00, 0x9FA6)) if is_common(each)]
WAYS = {
    "UTF-8 as GBK": ("utf-8", "gb18030"),
    "UTF-8 as Latin-1": ("utf-8", "latin-1"),
    "GBK as Latin-1": ("gb18030", "latin-1"),
    "GBK as Windows-1252": ("gb18030", "cp1252"),
}


def misread(text, way):
    written, read = WAYS[way]
    return text.encode(written).decode(read)


def test_the_first_level_of_gb2312_has_3755_characters():
    assert len(COMMON) == 3755


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ÏïÃû", "巷名"),
        ("å··å\x90\x8d", "巷名"),
        ("å··å…¬", "巷公"),  # as Windows-1252 shows it
        ("宸峰悕", "巷名"),
        ("¶«´å", "东村"),
        ("A¶°2µ¥Ôª", "A栋2单元"),
        ("\ufeff", None),
        ("锘挎埛鍙�", None),
    ],
)
def test_garbled_text_by_hand(text, says):
    assert garbled([text]).mended.get(text) == says


@pytest.mark.parametrize("text", ["锟斤拷锟斤拷", "大井\ufffd", "????", "??1号", "涓滃贩�", "\ufffd"])
def test_lost_text_is_told_and_left(text):
    found = garbled([text, "大井巷", "东巷"])
    assert found.lost == {text}
    assert not found.mended


@pytest.mark.parametrize("way", WAYS)
@given(texts=st.lists(st.text(COMMON, min_size=2, max_size=6), min_size=1, max_size=6))
@settings(max_examples=60)
def test_what_comes_back_is_what_was_written(way, texts):
    spoilt = {}
    for each in texts:
        with contextlib.suppress(UnicodeDecodeError):  # a reader would have lost something here
            spoilt[misread(each, way)] = each
    found = garbled(spoilt)
    assert found.mended.items() <= spoilt.items()
    assert found.mended.keys() | found.lost >= spoilt.keys()


rare = st.characters(min_codepoint=0x3400, max_codepoint=0x9FFF)
beyond = st.characters(min_codepoint=0x20000, max_codepoint=0x2FA1F)
arabic = st.sampled_from("شارع المتنبي حي الجلوم باب قنسرين")
japanese = st.sampled_from("東京都渋谷区ひらがなカタカナー々〆ヶ")
hindi = st.sampled_from("काठमाडौं महानगरपालिका")
emoji = st.sampled_from("😀🏮👨‍👩‍👧🇨🇳")
scripts = st.one_of(
    *(
        st.text(each, min_size=1, max_size=8)
        for each in (st.sampled_from(COMMON), rare, beyond, arabic, japanese, hindi, emoji)
    )
)


@given(texts=st.lists(scripts, min_size=1, max_size=5))
@settings(max_examples=300)
def test_real_text_of_any_script_is_left_alone(texts):
    found = garbled(texts)
    assert not found.mended
    assert not found.lost


@pytest.mark.parametrize(
    "text",
    ["PÄÄKATU", "Straße", "Järvenpää", "ÄÖ", "Île-de-France", "À bientôt", "CAFÉ”", "«CAFÉ»", "50 °C", "№ 5",
     "What?", "(?)", "¿Qué?", "東巷①", "（东）巷", "联通", "圳塱埗", "𠮷野家", "张锟路", "Москва",
     "서울특별시", "中文﹖"],
)  # fmt: skip
def test_odd_but_real_names_are_left_alone(text):
    assert garbled([text]).mended == {}
    assert garbled([text]).lost == frozenset()


@pytest.mark.real
def test_the_names_of_china_are_left_alone_and_come_back_whole(place):
    with (place("china") / "gcj02_bd09_vectors_gcoord.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    names = {row[each] for row in rows for each in ("province", "city", "district", "name")} - {""}
    assert len(names) > 600
    assert not garbled(names).mended
    assert not garbled(names).lost
    assert not any(garbled([each]).mended or garbled([each]).lost for each in names)
    for way in ("UTF-8 as Latin-1", "GBK as Latin-1"):
        back = {misread(each, way): each for each in names}
        found = garbled(back)
        assert found.mended.items() <= back.items()
        assert len(found.mended) >= len(names) - 3  # 瀍河 and its like are not common


def test_garbled_headings_and_names_are_mended_and_said(village):
    way = "GBK as Latin-1"
    rows = [
        (shape, {misread("户号", way): f"h{i}", misread("村民小组", way): misread("大井组", way)})
        for i, (shape, _) in enumerate(HOUSES)
    ]
    geojson(village, "households", rows)
    site = read_site(village, DEFAULT)
    homes = site.layer("households")
    assert homes["household_id"].tolist() == ["h0", "h1", "h2"]
    assert homes["group"].tolist() == ["大井组"] * 3
    assert {("headings-mended", "households"), ("text-mended", "households")} <= set(codes(site, "note"))


def test_a_heading_named_in_the_settings_may_be_written_either_way(village):
    garbled_heading = misread("家数", "GBK as Latin-1")
    rows = [(shape, {"household_id": each["household_id"], garbled_heading: 7}) for shape, each in HOUSES]
    geojson(village, "households", rows)
    for written in (garbled_heading, "家数"):
        known = with_input(households={"columns": {"households": written}})
        assert read_site(village, known).layer("households")["households"].tolist() == [7, 7, 7]


def test_headings_beyond_repair_are_refused_until_named(village):
    rows = [(shape, {"household_id": each["household_id"], "锟斤拷锟斤拷": 7}) for shape, each in HOUSES]
    geojson(village, "households", rows)
    (found,) = faults(village).values()
    assert (found.code, found.layer) == ("headings-garbled", "households")
    assert "[input.households] columns" in found.remedy
    known = with_input(households={"columns": {"households": "锟斤拷锟斤拷"}})
    site = read_site(village, known)
    assert site.layer("households")["households"].tolist() == [7, 7, 7]
    assert ("headings-garbled", "households") in codes(site, "doubt")


def test_names_beyond_repair_are_a_doubt_and_a_fault_where_most_are(village):
    names = ["大井组", "东村组", "西村组", "南村\ufffd"]
    rows = [(at(10 * i, 8), {"household_id": f"h{i}", "group": each}) for i, each in enumerate(names)]
    geojson(village, "households", rows)
    site = read_site(village, DEFAULT)
    (said,) = (each for each in site.remarks if each.code == "text-garbled")
    assert (said.kind, said.column, said.ids) == ("doubt", "group", ("h3",))
    rows = [(shape, {**each, "group": "???"}) for shape, each in rows]
    geojson(village, "households", rows)
    assert ("text-garbled", "households", "group") in faults(village)
    with pytest.raises(DataError, match="export the file again"):
        read_site(village, DEFAULT)


@pytest.mark.parametrize(
    ("name", "says"),
    [("╧∩╡└", "巷道"), ("σ╖╖ΘüôΣ╕¡σ┐âτ║┐", "巷道中心线"), ("巷道", "巷道"), ("Straße", "Straße"),
     ("alleys", "alleys"), ("┌─┐", "┌─┐"), ("Ä", "Ä")],
)  # fmt: skip
def test_names_of_files_from_archives(name, says):
    assert unscrambled(name) == says


def test_a_file_from_an_archive_is_found_by_the_name_it_had(village):
    (village / "households.geojson").rename(village / f"{'住户'.encode('gbk').decode('cp437')}.geojson")
    site = read_site(village, DEFAULT)
    assert len(site.layer("households")) == 3
    assert ("name-mended", "households") in codes(site, "note")


def test_one_line_in_another_encoding_is_told_and_no_name_lost_in_silence(village):
    # a list that two people added to: all UTF-8 but the last line
    (village / "households.geojson").unlink()
    rows = [f"h{i},大井村民组,{X0 + 10 * i},{Y0 + 8}\n".encode() for i in (1, 2, 3)]
    last = f"h4,东村小组,{X0 + 40},{Y0 + 8}\n".encode("gb18030")
    (village / "households.csv").write_bytes(b"".join(["户号,组别,x,y\n".encode(), *rows, last]))
    site, remarks = check_site(village, with_input(households={"crs": CRS}))
    told = {each.code for each in remarks if each.layer == "households"}
    assert site is None or "text-mended" in told
    if site is not None:
        assert site.layer("households")["group"].tolist() == ["大井村民组"] * 3 + ["东村小组"]
