import re
import sys
import unicodedata

import pytest

from services.rootcause import people
from services.rootcause.people import WIDENED_MAX, person_named, plain

NAMED = [
    "It was Anna's fault",
    "Sara’s mistake again",
    "Mr Smith did not file it",
    "the form went to dr. Keller",
    "anna forgot the form",
    "Sarah hadn't been told",
    "we blame Keller",
    "blame it on Schulze",
    "it is the fault of Schulze",
    "Schulze was to blame",
    "Peter van der Berg sent it late",
    "James T. Smith keyed it in",
    "person:anna keyed it in",
    "ask anna.keller@example.org",
    "ask @schulze",
    "bl\u200bame Keller",
    "\uff21nna\u2019s fault",
    "Ju\u0308rgen forgot the form",
    "J\u00fcrgen forgot the form",
    "box_Anna forgot it",
]

NOT_NAMED = [
    "The order form has no field for the delivery date.",
    "Supplier's mistake: the label was printed twice",
    "the CRM's error message hides the due date",
    "The clerk's checklist ends before the last step.",
    "It was at fault in step 3 of the Returns workflow.",
    "20 loaves were promised for today; the oven plan allows 10.",
    "Jan 3 was entered as March 1.",
]


@pytest.mark.parametrize("text", NAMED)
def test_a_text_that_names_a_person_is_noticed(text):
    assert person_named(text)


@pytest.mark.parametrize("text", NOT_NAMED)
def test_a_text_about_a_role_a_step_a_document_or_a_part_is_not(text):
    assert person_named(text, ["person:sales-lead", "team:returns", "source:cfpb", "person:3"]) is None


def test_whoever_works_on_it_is_known_by_name():
    assert person_named("kovacs left the box unticked") is None
    assert person_named("kovacs left the box unticked", ["person:kovacs"])
    assert person_named("Left unticked by Kovacs.", ["person:ilona.kovacs"])
    assert person_named("left unticked by ILONA KOVACS", ["person:ilona.kovacs"])


def test_what_is_found_is_never_quoted():
    assert all("anna" not in (person_named(text) or "").lower() for text in NAMED)


ENGLISH = ("the order form has no field for the date " * 250)[:10_000]
LONGEST = [
    ENGLISH, "a" * 10_000, "A'" * 5_000, "A-" * 5_000, "a." * 5_000, "@a" * 5_000, "anna" + " " * 9_990, "anna xx " * 1_250,
    "blame it on " * 833, "\ufdfa" * 10_000, "\u2474" * 10_000, "a" + "\u0301\u0327" * 5_000,
]  # fmt: skip


class Counting:
    """A pattern that counts how often it is asked."""

    def __init__(self, pattern):
        self.pattern, self.gone_through, self.looked = pattern, 0, 0

    def search(self, text):
        self.gone_through += 1
        return self.pattern.search(text)

    def finditer(self, text):
        self.gone_through += 1
        return self.pattern.finditer(text)

    def findall(self, text):
        return self.pattern.findall(text)

    def match(self, text, at):
        self.looked += 1
        return self.pattern.match(text, at)


@pytest.fixture
def patterns(monkeypatch):
    counting = {name: Counting(one) for name, one in vars(people).items() if isinstance(one, re.Pattern)}
    for name, one in counting.items():
        monkeypatch.setattr(people, name, one)
    return counting.values()


@pytest.mark.parametrize("text", LONGEST, ids=lambda text: ascii(text[:8]))
def test_a_text_is_gone_through_twice_however_many_are_known_and_what_follows_a_word_is_looked_at_only_where_it_matters(patterns, text):
    person_named(text, [f"person:anna.keller{n}" for n in range(20)])
    assert sum(one.gone_through for one in patterns) == 2
    assert sum(one.looked for one in patterns) <= 2 * len(re.findall(r"[^\W_]+", plain(text)))


def test_plain_english_is_hardly_looked_at_a_second_time(patterns):
    person_named(ENGLISH)
    assert sum(one.looked for one in patterns) == 0


def test_no_character_makes_the_text_that_is_looked_at_much_longer():
    stands_for_others = [chr(code) for code in range(sys.maxunicode) if unicodedata.decomposition(chr(code))]
    assert max(len(plain(one)) for one in stands_for_others) == WIDENED_MAX
    assert len(plain("\ufdfa" * 10_000)) == 10_000


def test_an_english_text_is_looked_at_as_it_is():
    assert plain(ENGLISH) is ENGLISH
