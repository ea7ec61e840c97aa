"""Whether a text names a person (invariant 7). A cause is a role, a step, a document or a part; a name there is blame.

So it is in all that is said of a fault: its cause and evidence, what contains it, where else it was found, what will be corrected.

A rule of thumb, kept on the strict side: the ways a name is usually written, the names that the stream knows, and a short list of
given names that mean nothing else. What it finds is described and never quoted: a refusal is stored for ever.
"""

import re
import unicodedata
from collections.abc import Iterable

from shared.contract.refusals import Refusal, Rule

BETTER = "name the role, step, document or part instead, as in 'the order form has no field for the date'"

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
GIVEN_NAMES = frozenset(_GIVEN_NAMES.split())
"""Names that are nothing else: no Mark, Will, Rose or Grant."""

_NOT_NAMES = """
a admin agent an app bank billing branch broker carrier clerk clock company contractor courier customer department desk driver
engineer everyone finance form he her his it its lead logistics maker manager marketing my nobody office operations operator ops
our owner part people person policy process product sales seller service she shift shop software staff step store supervisor
supplier support system team that the their they this tool training user vendor warehouse we website workflow you your
"""
NOT_NAMES = frozenset(_NOT_NAMES.split())
"""Words that stand where a name could and are none."""

NAME = r"[^\W\d_][\w’'-]{0,60}"
"""Of a bounded length, and an address begins where a word does: a text of ten thousand letters is gone through once."""
CAPITALISED = rf"(?=[^\W\d_a-zà-öø-ÿ]){NAME}"
TITLED = re.compile(rf"\b(?:[Mm]rs?|[Mm]s|Miss|Mx|[Dd]r|[Pp]rof|Herrn?|Frau|Mme|Madame|Monsieur|Señora?|Sr|Sra)\b\.?\s+{CAPITALISED}")
REFERENCE = re.compile(r"\bperson:\S", re.IGNORECASE)
ADDRESS = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+\.\w|(?<!\w)@\w{2,}")
BLAMED = re.compile(rf"\b(?i:blam(?:e|es|ed|ing)|(?:fault|mistake|error|negligence) of)\s+(?:(?:it\s+)?on\s+)?(?P<name>{CAPITALISED})")
AT_FAULT = re.compile(
    rf"\b(?P<name>{CAPITALISED}?)(?:[’']s?\s+(?i:own\s+)?(?i:fault|mistake|error|negligence|carelessness|oversight|incompetence)\b"
    r"|\s+(?i:is|was)\s+(?i:at fault|to blame)\b)"
)
_GIVEN = "|".join(sorted(GIVEN_NAMES))
FULL_NAME = re.compile(rf"\b(?i:{_GIVEN})\s+(?:[A-Z]\.\s+)?(?:(?:van|von|de|da|der|den|al|bin)\s+)*{CAPITALISED}")
DID_WRONG = re.compile(
    rf"\b(?i:{_GIVEN})\s+(?i:forgot|forgets|failed|fails|neglected|ignored|missed|lied|misread|mislaid|mixed|refused|overlooked|"
    r"(?:should|could|would|did|does|was|is|had|has)(?:n[’']t)?|made|sent|told|promised|entered|typed|caused|lost|broke)\b"
)

_PATTERNS = (
    (REFERENCE, "it refers to a person"),
    (ADDRESS, "it holds somebody's address"),
    (TITLED, "it names a person by title"),
    (FULL_NAME, "it names a person by first and last name"),
    (DID_WRONG, "it says what a person did"),
)


def person_named(text: str, known: Iterable[str] = ()) -> str | None:
    """How the text names a person, or None. `known` are references such as `person:anna.keller`; other kinds (`team:…`) are not people."""
    plain = "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")
    for pattern, how in _PATTERNS:
        if pattern.search(plain):
            return how
    for pattern in (BLAMED, AT_FAULT):
        if any(_may_be_a_name(found["name"]) for found in pattern.finditer(plain)):
            return "it blames somebody by name"
    for reference in known:
        if any(name.search(plain) for name in _names_in(reference)):
            return "it names a person who works on this"
    return None


def names_someone(known: Iterable[str], **texts: str | None) -> Refusal | None:
    """Why one of these texts cannot be said, by its field's name: it names a person. Who, is not repeated: a refusal is stored for ever."""
    people = tuple(known)
    for name, text in texts.items():
        if text is not None and (how := person_named(text, people)):
            return Refusal(Rule.CAUSE_NAMES_A_PERSON, f"`{name}` names a person ({how}): {BETTER}", {"field": name, "better": BETTER})
    return None


def _may_be_a_name(word: str) -> bool:
    """An acronym is a system more often than a person, and a role is none."""
    return word.casefold() not in NOT_NAMES and not (word.isupper() and len(word) > 1)


def _names_in(reference: str) -> Iterable[re.Pattern[str]]:
    """What to look for: the whole name in any case, its parts where they are written as names."""
    kind, _, name = reference.rpartition(":")
    if kind not in {"", "person"}:
        return
    parts = [part for part in re.split(r"[\W_]+", name) if len(part) > 1 and not part.isdigit()]
    if all(part.casefold() in NOT_NAMES for part in parts):
        return
    yield re.compile(r"\b" + r"[\W_]+".join(map(re.escape, parts)) + r"\b", re.IGNORECASE)
    for part in parts:
        if len(part) > 2 and part.casefold() not in NOT_NAMES:  # noqa: PLR2004 - shorter ones are initials and particles
            yield re.compile(rf"\b{re.escape(part.capitalize())}\b")
