"""Customers: names, how to reach them, how the house knows them. None of them exists; the addresses and numbers are kept for fiction."""

import unicodedata

from deploy.sample.dice import Dice
from deploy.sample.house import House
from shared.contract.values import Customer

FIRST = (
    "Adaeze", "Agnes", "Alba", "Amadou", "Anouk", "Arjun", "Astrid", "Bao", "Beatriz", "Bogdan", "Brigid", "Callum", "Cem", "Chiara",
    "Dagmar", "Daichi", "Desta", "Edda", "Eilidh", "Emre", "Esperanza", "Fabian", "Farah", "Finn", "Freya", "Gaspard", "Ghada", "Gudrun",
    "Hamish", "Hilde", "Imani", "Ioana", "Jarek", "Jamila", "Joris", "Kaja", "Kofi", "Leila", "Lorcan", "Ludovica", "Magda", "Malik",
    "Marit", "Mateo", "Minh", "Nerys", "Nikos", "Noor", "Odile", "Oskar", "Paloma", "Petru", "Quentin", "Radka", "Rhys", "Rosalind",
    "Sanjay", "Saoirse", "Selma", "Silvan", "Tadeusz", "Tamsin", "Thandi", "Tomoko", "Ugo", "Veronika", "Wanjiru", "Xenia", "Yann", "Zofia",
)  # fmt: skip
LAST = (
    "Abernathy", "Achterberg", "Almeida", "Banerjee", "Barrett", "Bellandi", "Bianchi", "Blackwood", "Boateng", "Brandt", "Castellano",
    "Chaudhry", "Chukwu", "Cieslak", "Costa", "Dahl", "Delacroix", "Dimitrov", "Drummond", "Eriksen", "Esposito", "Fairweather", "Farouk",
    "Ferreira", "Fitzgerald", "Fontaine", "Gallagher", "Georgiou", "Goldschmidt", "Haugen", "Hendriks", "Hoang", "Horvath", "Ibrahim",
    "Iversen", "Jablonski", "Kaminski", "Kariuki", "Kobayashi", "Kowalczyk", "Laurent", "Leclerc", "Lombardi", "MacInnes", "Malhotra",
    "Marchetti", "Mbeki", "Moreau", "Mwangi", "Nakamura", "Novak", "Nwosu", "Oberholzer", "Ozturk", "Papadakis", "Pemberton", "Petrescu",
    "Quigley", "Ramaswamy", "Renner", "Rossi", "Saleh", "Santos", "Schreiber", "Sokolova", "Stavrou", "Takahashi", "Tremblay", "Ueda",
    "Valverde", "Vandenberg", "Vasquez", "Whitcombe", "Wickramasinghe", "Yilmaz", "Zieglgruber",
)  # fmt: skip
TELEPHONES = {"EUR": "+49 30 23125 {}", "GBP": "+44 20 7946 0{}"}
"""Ranges that are never given out."""
COMES_BACK = 0.15


def customer(house: House, seed: int, number: int) -> Customer:
    """Whoever complains. Some complain more than once."""
    own = Dice("comes back", seed, number)
    dice = Dice("customer", seed, house.name, number // 2 if own.chance(COMES_BACK) else number)
    first, last = dice.pick(FIRST), dice.pick(LAST)
    if house.kind == "internal":
        ref, contact = f"emp-{dice.between(1000, 9999)}", f"{plain(first)}.{plain(last)}@group.example"
        return Customer(ref=ref, name=f"{first} {last}", contact=contact, kind="internal")
    address = f"{plain(first)}.{plain(last)}@example.{dice.pick(('org', 'net', 'com'))}"
    telephone = TELEPHONES[house.currency].format(f"{dice.between(0, 999):03d}")
    return Customer(ref=f"C-{dice.between(10_000, 999_999)}", name=f"{first} {last}", contact=telephone if dice.chance(0.3) else address)


def plain(name: str) -> str:
    """A name as it stands in an address."""
    return "".join(one for one in unicodedata.normalize("NFKD", name).lower() if one.isascii() and one.isalnum())
