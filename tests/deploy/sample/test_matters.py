"""What is complained of: the same for ever, believable, and in many voices."""

from collections import Counter
from datetime import timedelta
from itertools import chain

import pytest

from deploy.sample.dice import Dice, spread
from deploy.sample.house import houses
from deploy.sample.matters import BULK, matter, tag
from deploy.sample.paths import submission_of
from shared.contract.intake import ReportFinding, SubmitComplaint
from shared.contract.said import decode
from tests.deploy.sample.minds import BEGAN

MANY = 500
MATTERS = [matter(7, number, BEGAN) for number in range(MANY)]


def skeleton(one):
    """The narrative without what differs by order, day and name."""
    text = one.told.narrative
    for name, value in sorted(one.slots.items(), key=lambda item: -len(item[1])):
        text = text.replace(value, f"<{name}>")
    return text


def test_the_same_seed_gives_the_same_complaints():
    assert [matter(7, number, BEGAN) for number in range(50)] == MATTERS[:50]
    assert [one.told.to_bytes() for one in MATTERS[:50]] != [matter(8, number, BEGAN).told.to_bytes() for number in range(50)]


def test_a_complaint_is_the_same_however_many_there_are():
    assert matter(7, 321, BEGAN) == MATTERS[321]


def test_only_times_depend_on_when_the_sample_began():
    later = matter(7, 5, BEGAN + timedelta(days=14))
    was = MATTERS[5]
    assert (later.told.source, later.told.ref, later.told.customer) == (was.told.source, was.told.ref, was.told.customer)
    assert later.told.occurred_at - was.told.occurred_at == timedelta(days=14)


def test_the_first_complaint_says_the_same_whenever_it_is_told():
    """The sample takes its time from the moment at which that was received."""
    assert matter(7, 0, BEGAN).told == matter(7, 0, BEGAN + timedelta(days=100)).told
    assert submission_of(7, 0, BEGAN) == submission_of(7, 0, BEGAN + timedelta(days=100))


def test_no_two_of_500_narratives_are_equal():
    assert len({one.told.narrative for one in MATTERS}) == MANY


def test_even_without_names_and_numbers_hardly_two_read_alike():
    skeletons = Counter(skeleton(one) for one in MATTERS if isinstance(one.told, SubmitComplaint))
    assert len(skeletons) > 0.9 * skeletons.total()
    assert max(skeletons.values()) <= 4


def test_they_have_several_sentences_and_many_lengths():
    lengths = [len(one.told.narrative) for one in MATTERS if isinstance(one.told, SubmitComplaint)]
    assert min(lengths) > 60
    assert sum(length > 300 for length in lengths) > MANY / 4
    assert len(set(lengths)) > MANY / 3


def test_no_slot_is_left_open():
    assert not [one.told.narrative for one in MATTERS if "{" in one.told.narrative or "}" in one.told.narrative]


def test_every_trouble_of_every_house_is_met():
    assert {(one.house.name, one.trouble.issue) for one in MATTERS} == {
        (house.name, trouble.issue) for house in houses() for trouble in house.troubles
    }


def test_customers_are_of_both_kinds_and_some_come_back():
    kinds = Counter(one.told.customer.kind for one in MATTERS)
    assert kinds["internal"] > MANY / 10
    assert kinds["external"] > MANY / 2
    told = [one.told.customer.ref for one in MATTERS if isinstance(one.told, SubmitComplaint)]
    assert 0.02 * MANY < MANY - len(set(told)) < 0.3 * MANY


def test_some_are_found_by_ourselves():
    findings = [one for one in MATTERS if isinstance(one.told, ReportFinding)]
    assert 5 <= len(findings) <= 50
    assert any(one.told.exposed for one in findings)


def test_what_happened_lies_in_the_past_weeks_and_was_reported_after_it_happened():
    for one in MATTERS[1:]:
        assert BEGAN - timedelta(days=41) < one.told.occurred_at < BEGAN
        if isinstance(one.told, SubmitComplaint):
            assert one.told.occurred_at <= one.told.reported_at < BEGAN


@pytest.mark.parametrize("one", MATTERS[::25], ids=lambda one: one.told.ref)
def test_what_is_told_is_what_the_contract_takes(one):
    assert decode(type(one.told), one.told.to_bytes()) == one.told


def test_no_two_complaints_share_a_reference_whatever_the_seed():
    seeds = [*range(40), 835, 10**9]
    told = chain.from_iterable((matter(seed, number, BEGAN).complaint for number in range(25)) for seed in seeds)
    bulk = chain.from_iterable((matter(seed, number, BEGAN, bulk=True).complaint for number in range(25)) for seed in seeds)
    assert len({*told, *bulk}) == 2 * 25 * len(seeds)


def test_tags_tell_seeds_apart():
    assert len({tag(seed) for seed in range(3000)}) == 3000
    assert not any(tag(seed).startswith(BULK) for seed in range(3000))


def test_nobody_can_be_reached():
    """No address or number belongs to anybody: the domains are kept for examples, the numbers for fiction."""
    fiction = ("+49 30 23125 ", "+44 20 7946 0", "@example.", "@group.example")
    for one in MATTERS:
        assert one.told.customer.contact is None or any(part in one.told.customer.contact for part in fiction)


def test_a_spread_fills_every_part_of_its_room():
    for dimension in range(3):
        tenths = Counter(int(spread(3, number, dimension) * 10) for number in range(100))
        assert set(tenths) == set(range(10))
        assert 6 <= min(tenths.values()) <= max(tenths.values()) <= 15


def test_dice_choose_the_same_for_ever():
    dice = Dice("what for", 7)
    assert [dice.between(0, 999) for _ in range(4)] == [348, 685, 160, 634]
