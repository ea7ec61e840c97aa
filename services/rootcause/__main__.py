"""`python -m services.rootcause`: one process of this service."""

from services.rootcause.mind import MIND
from shared.machine.service import main

if __name__ == "__main__":
    main(MIND)
