"""The stack's supervisor with a service that there is not."""

from deploy.local.supervisor import main
from tests.deploy.small.supervisor import MIGRATIONS

if __name__ == "__main__":
    main({"intake": "tests.deploy.small.no_service"}, {"intake": MIGRATIONS})
