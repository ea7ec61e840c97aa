from time import process_time

import pytest

from services.rootcause.people import person_named

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


@pytest.mark.parametrize("text", ["a" * 10_000, "A'" * 5_000, "A-" * 5_000, "a." * 5_000, "anna" + " " * 9_990, "\ufdfa" * 10_000])
def test_the_longest_text_is_gone_through_at_once_whatever_is_in_it(text):
    began = process_time()
    person_named(text, ["person:anna.keller"])
    assert process_time() - began < 1
