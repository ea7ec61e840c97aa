"""`python -m services.console`: one process of this service."""

from services.console.app import main

if __name__ == "__main__":
    main()
