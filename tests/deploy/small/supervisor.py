"""The stack's supervisor with one small service instead of the real ones."""

from pathlib import Path

from deploy.local.supervisor import main

MIGRATIONS = Path(__file__).parent / "migrations"

if __name__ == "__main__":
    main({"intake": "tests.deploy.small.service"}, {"intake": MIGRATIONS})
