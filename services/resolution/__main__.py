"""`python -m services.resolution`: one process of this service."""

from services.resolution.mind import MIND
from shared.machine.service import main

if __name__ == "__main__":
    main(MIND)
