"""The page: well-formed, in need of nothing else, with nothing in it that a user's names have written."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from hypernest.analysis.report.html import page
from tests.analysis.report.toy import BROKEN, HOSTILE, VIRTUALIZABLE

VOID = {"meta", "br"}
FETCHING = {"src", "srcset", "data", "action", "background", "poster", "xlink:href"}


class Checker(HTMLParser):
    """Notes the text, the tags, identities and links, and what is not closed as it was opened."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.mistakes: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in FETCHING or name.startswith("on") or name == "style":
                self.mistakes.append(f"{tag} {name}")
            if name == "id":
                self.ids.append(value or "")
            if name == "href":
                self.links.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.mistakes.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def parsed(html: str) -> Checker:
    checker = Checker()
    checker.feed(html)
    checker.close()
    return checker


PAGES = {
    "one": page([BROKEN]),
    "several": page([BROKEN, VIRTUALIZABLE]),
    "others": page([VIRTUALIZABLE], [BROKEN]),
}


@pytest.mark.parametrize("html", PAGES.values(), ids=PAGES)
def test_it_is_well_formed(html: str) -> None:
    checker = parsed(html)
    assert (checker.mistakes, checker.open) == ([], [])
    assert html.startswith("<!DOCTYPE html>\n")
    assert html.count("<title>") == 1
    for once in ("html", "head", "body", "h1"):
        assert checker.tags.count(once) == 1


@pytest.mark.parametrize("html", PAGES.values(), ids=PAGES)
def test_it_needs_nothing_else(html: str) -> None:
    checker = parsed(html)
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & set(checker.tags)
    assert not re.search(r"https?:|//|url\(|@import", html)
    assert "prefers-color-scheme: dark" in html
    assert len(set(checker.ids)) == len(checker.ids)
    assert {link.removeprefix("#") for link in checker.links} <= set(checker.ids)


def test_names_are_text() -> None:
    html = PAGES["one"]
    assert "<script" not in html
    assert HOSTILE in parsed(html).text
    assert f"{HOSTILE} operands" in parsed(html).text


def test_what_no_page_may_have_is_replaced() -> None:
    html = page([replace(VIRTUALIZABLE, title="toy\x00\x1b[31m\ud800", notes=("\u202egnp.exe",))])
    html.encode("utf-8")
    assert not set("\x00\x1b\u202e") & set(html)


def test_a_reader_who_knows_nothing_is_told() -> None:
    text = " ".join(parsed(PAGES["one"]).text.split())
    assert text.index("No virtual machine monitor by theorem 1") < text.index("What this is about")
    for word in ("privileged if", "sensitive if", "innocuous if", "A sensitive instruction that is not privileged"):
        assert text.index("What this is about") < text.index(word) < text.index("The theorems")
    assert "section 3" in text
    assert "Communications of the ACM" in text


def test_everything_is_there_and_folded() -> None:
    html, text = PAGES["one"], " ".join(parsed(PAGES["one"]).text.split())
    assert html.count("<details") > len(BROKEN.verdicts)
    for verdict in BROKEN.verdicts:
        assert verdict.syntax in text
    assert '<details class="violation" open>' in html
    assert '<details class="class">' in html
    assert "r[3]0x00x10x00x0" in parsed(html).text.replace("\n", "")
    assert "differs: r[3] is 0x1 in the first run, 0x0 in the second" in text
    assert "first in program 3, step 12, readmode r3" in text
    assert "not virtualizable (Somebody 1999)" in text
    assert "A note on the toy." in text


def test_the_settings_are_a_table() -> None:
    assert "Settings" not in parsed(PAGES["one"]).text
    for name in ("several", "others"):
        assert "<th>recursive</th>" in PAGES[name]
    assert 'href="#s1"' in PAGES["several"] and 'id="s1"' in PAGES["several"]
    assert 'id="s1"' not in PAGES["others"]
