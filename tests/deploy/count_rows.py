# ruff: noqa: T201, PTH123
"""Counts what submitting some files must give, apart from the product: standard library only, and nothing of ours.

    python tests/deploy/count_rows.py cfpb a.csv.gz b.csv.gz

For each file, in the order given: data rows, rows that are cut or lack their number, distinct references that no earlier file had,
rows whose reference is known already, and of those how many are the very same text as before. One JSON object a line, the sum last.
"""

import csv
import gzip
import json
import sys

NUMBER = {"cfpb": "complaintid", "nyc311": "uniquekey", "incidents": "number"}


def rows(path):
    with open(path, "rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
    with (gzip.open if zipped else open)(path, "rt", encoding="utf-8-sig", newline="") as text:
        yield from csv.reader(text)


def plain(name):
    return "".join(character for character in name.lower() if character.isalnum())


def count(kind, paths):
    seen = {}
    for path in paths:
        found = {"file": path, "rows": 0, "bad": 0, "new": 0, "known": 0, "known_same_text": 0}
        records = rows(path)
        header = next(records)
        at = [plain(name) for name in header].index(NUMBER[kind])
        for record in records:
            if not record:
                continue
            found["rows"] += 1
            if len(record) != len(header) or not record[at].strip():
                found["bad"] += 1
                continue
            number, text = record[at].strip(), hash(tuple(record))
            found["new" if number not in seen else "known"] += 1
            found["known_same_text"] += text in seen.get(number, ())
            seen.setdefault(number, set()).add(text)
        yield found


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in NUMBER:
        sys.exit(f"usage: count_rows.py {'|'.join(NUMBER)} FILE...")
    total = {"file": "all"}
    for found in count(sys.argv[1], sys.argv[2:]):
        print(json.dumps(found))
        total |= {name: total.get(name, 0) + number for name, number in found.items() if name != "file"}
    print(json.dumps(total))


if __name__ == "__main__":
    main()
