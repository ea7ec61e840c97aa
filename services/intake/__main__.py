"""`python -m services.intake`: one process of this service."""

from services.intake.mind import MIND
from shared.machine.service import main

if __name__ == "__main__":
    main(MIND)
