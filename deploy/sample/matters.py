"""Who complains of what, and in which words. Pure: seed, number and the sample's beginning give the same matter for ever."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from deploy.sample.dice import Dice
from deploy.sample.house import House, Lines, Product, Trouble, houses, phrases
from deploy.sample.people import customer
from shared.contract.envelope import complaint_id
from shared.contract.intake import ReportFinding, SubmitComplaint
from shared.contract.values import Customer

SHARES = (0.42, 0.38, 0.20)
"""How many complaints go to each of the houses."""
FINDINGS = 0.04
"""How many are found by ourselves, before a customer did."""
DAYS_BACK = 40
VERSIONED = frozenset({"lindenkrume-shop", "fernhill-care", "group-it-desk"})
"""Upstreams that number the states of their records."""
SIGNS = {"EUR": "€ {}", "GBP": "£{}"}
BULK = "S"
"""Begins the tag of complaints that nobody works; tags have no capitals."""
BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
SPOKEN, WRITTEN, QUICK = frozenset({"telephone", "counter"}), frozenset({"letter"}), frozenset({"chat", "app"})
TONES_OF = {SPOKEN: ("telephone",), WRITTEN: ("formal", "worried", "plain"), QUICK: ("terse", "chatty", "terse", "plain", "upset")}
TONES = ("plain", "upset", "warm", "terse", "formal", "chatty", "worried", "list")


@dataclass(frozen=True, slots=True)
class Matter:
    """One complaint, and all that the people who work it will speak of."""

    seed: int
    number: int
    house: House
    trouble: Trouble
    told: SubmitComplaint | ReportFinding
    slots: Mapping[str, str]
    """What stands in the texts' braces."""
    price: Decimal

    @property
    def complaint(self) -> UUID:
        """Its id."""
        return complaint_id(self.told.source, self.told.ref)


def tag(seed: int) -> str:
    """A seed as it stands in references: a number of base 36."""
    assert seed >= 0, "seeds are not negative"
    digits = ""
    while True:
        seed, digit = divmod(seed, len(BASE36))
        digits = BASE36[digit] + digits
        if not seed:
            return digits


def matter(seed: int, number: int, now: datetime, of: tuple[House, Trouble] | None = None, *, bulk: bool = False) -> Matter:
    """The complaint of this number.

    Args:
        seed: The sample's.
        number: Which of its complaints. The first one, 0, has no times in it: the sample begins with it, and takes the time from it.
        now: When the sample began.
        of: Where it is to be about this.
        bulk: Whether it is one of many that nobody works. Those are numbered apart, and none of them is our own finding.
    """
    dice = Dice("matter", seed, number)
    house, trouble = of or _chosen(dice)
    product = dice.pick(trouble.products)
    who = customer(house, seed, number)
    occurred = _occurred(dice, now) if number else None
    price = _price(dice, product)
    slots = _slots(dice, house, product, who, occurred) | _amounts(house, price)
    slots["need"] = dice.pick(trouble.need).format_map(slots)
    found = number > 0 and dice.chance(FINDINGS) and not bulk
    draft = _Draft(dice, house, trouble, BULK + tag(seed) if bulk else tag(seed), number, slots, seed)
    told = draft.found(occurred) if found else draft.told(who)
    times = _times(dice, occurred, now)
    return Matter(seed, number, house, trouble, told.model_validate({**dict(told), "product": product.name, **times}), slots, price)


def _chosen(dice: Dice) -> tuple[House, Trouble]:
    [place] = dice.some(houses(), SHARES, 1)
    house = houses()[place]
    return house, dice.pick(house.troubles)


def _occurred(dice: Dice, now: datetime) -> datetime:
    """Some time in the past weeks, more of them recent."""
    days = min(dice.between(1, DAYS_BACK), dice.between(1, DAYS_BACK))
    return datetime.combine((now - timedelta(days=days)).date(), time(dice.between(7, 20), dice.between(0, 11) * 5), now.tzinfo)


def _times(dice: Dice, occurred: datetime | None, now: datetime) -> dict[str, Any]:
    if occurred is None:
        return {}
    reported = min(occurred + timedelta(minutes=dice.between(20, 60 * 70)), now - timedelta(minutes=dice.between(5, 300)))
    if dice.chance(0.4):
        day = datetime.combine(occurred.date(), time(), occurred.tzinfo)
        return {"occurred_at": day, "occurred_precision": "day", "reported_at": max(reported, occurred)}
    return {"occurred_at": occurred, "occurred_precision": "minute", "reported_at": max(reported, occurred)}


def _price(dice: Dice, product: Product) -> Decimal:
    low, high = product.price if product.price[1] else (40, 900)
    return Decimal(dice.between(low * 10, high * 10)) / 10


def _slots(dice: Dice, house: House, product: Product, who: Customer, occurred: datetime | None) -> dict[str, str]:
    hour, minutes = dice.between(8, 17), dice.pick(("00", "15", "30", "45"))
    assert who.name, "a customer has a name"
    return {
        "org": house.name, "product": product.name, "thing": product.thing, "name": who.name, "first": who.name.split()[0],
        "order": house.order.format(digits=dice.between(100_000, 9_999_999)), "time": f"{hour}:{minutes}",
        "day": f"{occurred:%A} {occurred.day} {occurred:%B}" if occurred else "the last Saturday",
        "late": str(dice.between(7, 30) * 5), "count": str(dice.between(3, 40)), "days": str(dice.between(3, 16)),
        "years": str(dice.between(2, 25)), "place": dice.pick(house.places), "occasion": dice.pick(house.occasions),
    }  # fmt: skip


def _amounts(house: House, price: Decimal) -> dict[str, str]:
    sign = SIGNS[house.currency]
    return {"amount": sign.format(f"{price:.2f}"), "more": sign.format(f"{price * Decimal('1.2'):.2f}")}


@dataclass(frozen=True, slots=True)
class _Draft:
    """What a complaint is written from."""

    dice: Dice
    house: House
    trouble: Trouble
    tag: str
    number: int
    slots: dict[str, str]
    seed: int

    def told(self, who: Customer) -> SubmitComplaint:
        """As a customer's complaint, in an upstream's record."""
        dice, trouble, slots = self.dice, self.trouble, self.slots
        source = dice.pick(self.house.sources)
        channel = dice.pick(source.channels)
        story = narrative(dice, self.house, trouble, slots, channel)
        details = {"order": slots["order"], "amount": slots["amount"]} if dice.chance(0.7) else {}
        if dice.chance(0.3):
            details["place"] = slots["place"]
        return SubmitComplaint(
            source=source.name, ref=source.ref.format(tag=self.tag, number=self.number), channel=channel, customer=who, narrative=story,
            issue=trouble.issue, summary=f"{trouble.issue}: {slots['product']}" if dice.chance(0.5) else None, details=details,
            upstream_version="1" if source.name in VERSIONED else None, upstream_status=dice.pick(("open", "new", "received")),
            tags=tuple(one for one in ("asked for a call", "regular customer", "first order", "with photo") if dice.chance(0.12)),
        )  # fmt: skip

    def found(self, occurred: datetime | None) -> ReportFinding:
        """As our own finding. Whoever found it is the customer; those whom it may reach are named by their numbers."""
        dice, slots, finding = self.dice, self.slots, self.house.finding
        finder = customer(self.house, self.seed, -self.number)
        assert finder.name, "a customer has a name"
        slots |= {"name": finder.name, "first": finder.name.split()[0]}
        story = dice.pick(phrases()["finding"]["narrative"]).format_map({**slots, "symptom": self.trouble.problem.symptom})
        return ReportFinding(
            source=finding.source, ref=finding.ref.format(tag=self.tag, number=self.number), channel="own round", narrative=story,
            issue=self.trouble.issue, customer=Customer(ref=f"emp-{dice.between(1000, 9999)}", name=finder.name, kind="internal"),
            details={"department": dice.pick(finding.departments)}, occurred_at=occurred,
            exposed=tuple(f"C-{dice.between(10_000, 999_999)}" for _ in range(dice.between(0, 4))),
        )  # fmt: skip


# ---- the customer's own words ----------------------------------------------------------------------------------------------


def narrative(dice: Dice, house: House, trouble: Trouble, slots: Mapping[str, str], channel: str) -> str:
    """What the customer writes or says: the same matter sounds different from everybody."""
    tones = next((found for channels, found in TONES_OF.items() if channel in channels), TONES)
    tone: Mapping[str, Lines] = phrases()["tones"][dice.pick(tones)]
    own: Mapping[str, Lines] = {"happened": trouble.happened, "meant": trouble.meant, "asked": trouble.asked, "known": house.known}
    if "itemised" in tone["parts"]:
        body = _itemised(dice, own)
    else:
        parts = [part for part in tone["parts"] if part in {"happened", "asked", "opening", "took"} or dice.chance(0.8)]
        body = _joined([dice.pick(own.get(part) or tone[part]) for part in parts], apart=dice.chance(0.5))
    return f"{body}\n{dice.pick(tone['closing'])}".format_map(slots).strip()


def _itemised(dice: Dice, own: Mapping[str, Lines]) -> str:
    points = [dice.pick(own[part]) for part in ("happened", "meant", "asked")]
    return "\n".join(f"{number}. {point}" for number, point in enumerate(points, 1))


def _joined(sentences: Sequence[str], *, apart: bool) -> str:
    """A greeting stands on a line of its own, and what is asked may stand apart."""
    text = ""
    for place, sentence in enumerate(sentences):
        last = place == len(sentences) - 1
        between = "" if not text else "\n\n" if text.endswith(",") or (last and apart) else " "
        text += between + sentence
    return text
