"""A process of a service as a release runs it: `python -m tests.faults.release NUMBER`. Releases differ in how they decide."""

import sys
from dataclasses import replace

from shared.machine.service import main
from tests.shared.machine.tally import MIND
from tests.shared.machine.test_rules import NEWER

RELEASES = {1: MIND, 2: NEWER, 3: replace(NEWER, own_rules=3, earlier=(NEWER, MIND))}

if __name__ == "__main__":
    main(RELEASES[int(sys.argv[1])])
