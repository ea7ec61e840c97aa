"""`python -m deploy.cli`: the same as `makegood`."""

from deploy.cli.main import main

if __name__ == "__main__":
    main()
