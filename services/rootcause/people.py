"""Whether a text names a person (invariant 7). A cause is a role, a step, a document or a part; a name there is blame.

So it is in all that is said of a fault: its cause and evidence, what contains it, where else it was found, what will be corrected and how.

A rule of thumb, kept on the strict side: the ways a name is usually written, the names that the stream knows, and a short list of
given names that mean nothing else. What it finds is described and never quoted: a refusal is stored for ever.

A shard waits while this thinks, so a text is gone through once, word by word. What comes after a word is looked at only where the word
itself could begin a name or lay blame, and only as far as the next few words.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from shared.contract.refusals import Refusal, Rule

BETTER = "name the role, step, document or part instead, as in 'the order form has no field for the date'"

WIDENED_MAX = 3
"""Most characters that stand for one: a ligature is its letters. What stands for whole words (U+FDFA for eighteen letters) is no name."""


def plain(text: str) -> str:
    """The text as a reader sees it: full-width letters and ligatures as usual ones, without accents and what is invisible.

    It is at most `WIDENED_MAX` times as long, whatever is in it; the work is per character, and for each that is not ASCII done once.
    """
    return text if text.isascii() else text.translate({ord(one): _plain(one) for one in set(text) if not one.isascii()})


def _plain(character: str) -> str:
    """Compatibility decomposition (NFKD) without marks (Mn) and format characters (Cf)."""
    found = "".join(one for one in unicodedata.normalize("NFKD", character) if unicodedata.category(one) not in {"Mn", "Cf"})
    return found if len(found) <= WIDENED_MAX else " "


_GIVEN_NAMES = """
aaron ahmed alice amanda amelie amira amy ana andrea andreas andrew angela anita anke anna anne antonio barbara ben bernd betty
brian carla carlos carol carolina cathy chen christina christine christopher claire clara claudia dana daniel daniela david
deborah diana diego dieter dmitri dora edward elena elizabeth ellen emily emma eric erika eva fatima felix fiona francesca fritz
gabriela george gerda giulia greta hannah hans heather heidi heinz helen helga henrik hiroshi ines ingrid irene isabel ivan jacob
james jane jason javier jennifer jenny jessica jim joan joanna johanna john jonas jonathan jose joseph juan judith julia julie
jürgen karen karin karl kate katharina katherine katja kenji kevin klaus kumar laura lena leon lisa lucas lucia luis lukas manuel
maria marie marina markus marta mary matthew maya mehmet melanie michael michelle miguel mohamed mohammed monica monika nadia
nancy natalia natasha nicole nina noah nora olga olivia omar pablo pamela patricia paul paula pedro peter petra philip pierre
priya rachel rahul ralf rebecca renate richard rita robert roberto rosa ruth sabine samuel sandra sara sarah sebastian sergei
simon sofia sonja sophie stefan stefanie stephanie stephen steven susan susanne tanja tatiana teresa theresa thomas tim tina
tobias tom tomas ulrich ursula uwe vera vladimir walter wei werner wolfgang xavier yasmin yuki yusuf zoe
"""
GIVEN_NAMES = frozenset(plain(_GIVEN_NAMES).split())
"""Names that are nothing else: no Mark, Will, Rose or Grant."""

_NOT_NAMES = """
a admin agent an app bank billing branch broker carrier clerk clock company contractor courier customer department desk driver
engineer everyone finance form he her his it its lead logistics maker manager marketing my nobody office operations operator ops
our owner part people person policy process product sales seller service she shift shop software staff step store supervisor
supplier support system team that the their they this tool training user vendor warehouse we website workflow you your
"""
NOT_NAMES = frozenset(_NOT_NAMES.split())
"""Words that stand where a name could and are none."""

_TITLES = """
Mr mr Mrs mrs Ms ms Miss Mx Dr dr Prof prof Herr Herrn Frau Mme Madame Monsieur Senor Senora Sr Sra
"""
TITLES = frozenset(_TITLES.split())
FAULTS = frozenset({"fault", "mistake", "error", "negligence"})
BLAMING = frozenset({"blame", "blames", "blamed", "blaming"})

WORD = re.compile(r"[^\W_]+")
ADDRESS = re.compile(r"@(?:(?<=[\w.+-]@)[\w-]++\.\w|(?<!\w@)\w\w)")

# What is matched where a word ends. A name is seen by how it begins.
NAME = r"(?P<name>(?=[^\W\d_a-zà-öø-ÿ])[^\W_]++(?:[’'-][^\W_]++){0,3})"
REFERENCE = re.compile(r":\S")
TITLED = re.compile(rf"\.?\s+{NAME}")
BLAMED = re.compile(rf"\s+(?i:(?:it\s+)?on\s+)?{NAME}")
FAULT_OF = re.compile(rf"\s+(?i:of\s+(?:(?:it\s+)?on\s+)?){NAME}")
FULL_NAME = re.compile(rf"\s+(?:[A-Z]\.\s+)?(?:(?:van|von|de|da|der|den|al|bin)\s+){{0,3}}{NAME}")
DID_WRONG = re.compile(
    r"\s+(?i:forgot|forgets|failed|fails|neglected|ignored|missed|lied|misread|mislaid|mixed|refused|overlooked|"
    r"(?:should|could|would|did|does|was|is|had|has)(?:n[’']t)?|made|sent|told|promised|entered|typed|caused|lost|broke)\b"
)
# And where one begins that is written as a name is.
AT_FAULT = re.compile(
    r"(?P<name>[^\W_]++(?:[’'-][^\W_]++){0,3}?)"
    r"(?:[’']s?\s+(?i:own\s+)?(?i:fault|mistake|error|negligence|carelessness|oversight|incompetence)\b"
    r"|\s+(?i:is|was)\s+(?i:at fault|to blame)\b)"
)
PARTS_MAX = 4
"""Of a name with more parts, the first of them are enough."""


def person_named(text: str, known: Iterable[str] = ()) -> str | None:
    """How the text names a person, or None. `known` are references such as `person:anna.keller`; other kinds (`team:…`) are not people."""
    seen = plain(text)
    if ADDRESS.search(seen):
        return "it holds somebody's address"
    people = _known(known)
    words = list(WORD.finditer(seen))
    folded = [word.group().casefold() for word in words]
    for at, (word, fold) in enumerate(zip(words, folded, strict=True)):
        if how := _named(seen, word, fold):
            return how
        if word.group() in people.parts or (fold in people.first and people.are_at(folded, at)):
            return "it names a person who works on this"
    return None


def names_someone(known: Iterable[str], **texts: str | None) -> Refusal | None:
    """Why one of these texts cannot be said, by its field's name: it names a person. Who, is not repeated: a refusal is stored for ever."""
    people = tuple(known)
    for name, text in texts.items():
        if text is not None and (how := person_named(text, people)):
            return Refusal(Rule.CAUSE_NAMES_A_PERSON, f"`{name}` names a person ({how}): {BETTER}", {"field": name, "better": BETTER})
    return None


def _named(text: str, found: re.Match[str], fold: str) -> str | None:
    """How a person is named from this word on, if one is."""
    word, end = found.group(), found.end()
    if fold in GIVEN_NAMES:
        if FULL_NAME.match(text, end):
            return "it names a person by first and last name"
        if DID_WRONG.match(text, end):
            return "it says what a person did"
    if fold == "person" and REFERENCE.match(text, end):
        return "it refers to a person"
    if word in TITLES and TITLED.match(text, end):
        return "it names a person by title"
    blamed = None
    if fold in BLAMING:
        blamed = BLAMED.match(text, end)
    elif fold in FAULTS:
        blamed = FAULT_OF.match(text, end)
    elif word[0].isalpha() and not word[0].islower():
        blamed = AT_FAULT.match(text, found.start())
    return "it blames somebody by name" if blamed and _may_be_a_name(blamed["name"]) else None


def _may_be_a_name(word: str) -> bool:
    """An acronym is a system more often than a person, and a role is none."""
    return word.casefold() not in NOT_NAMES and not (word.isupper() and len(word) > 1)


@dataclass(frozen=True, slots=True)
class _Known:
    """The names that the stream knows, to be looked for in any number at the cost of one."""

    whole: frozenset[tuple[str, ...]]
    """Names in small letters, word by word: whoever is named so is found in any case."""
    parts: frozenset[str]
    """First names and last names as names are written."""

    first: frozenset[str]
    lengths: frozenset[int]

    def are_at(self, folded: list[str], at: int) -> bool:
        """Whether one of the whole names begins at this word."""
        return any(tuple(folded[at : at + length]) in self.whole for length in self.lengths)


def _known(references: Iterable[str]) -> _Known:
    whole: set[tuple[str, ...]] = set()
    parts: set[str] = set()
    for reference in references:
        kind, _, name = plain(reference).rpartition(":")
        words = [one for one in WORD.findall(name.casefold()) if len(one) > 1 and not one.isdigit()]
        if kind not in {"", "person"} or all(one in NOT_NAMES for one in words):
            continue
        whole.add(tuple(words[:PARTS_MAX]))
        parts |= {one.capitalize() for one in words if len(one) > 2 and one not in NOT_NAMES}  # noqa: PLR2004 - shorter ones are initials
    return _Known(frozenset(whole), frozenset(parts), frozenset(one[0] for one in whole), frozenset(map(len, whole)))
