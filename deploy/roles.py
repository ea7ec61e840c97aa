"""Who may log in: one role and one schema for each service, named alike everywhere."""

from urllib.parse import quote, urlsplit, urlunsplit

STAGES = ("intake", "resolution", "rootcause")
"""The services that decide; their schemas hold the machine's tables."""
SERVICES = (*STAGES, "console")
"""All services that have a schema and a role."""


def role(service: str) -> str:
    """The database role of a service."""
    return f"makegood_{service}"


def role_dsn(owner_dsn: str, service: str, password: str = "") -> str:
    """A service's way into the database that the owner's DSN names.

    Args:
        owner_dsn: The owner's, as a URL.
        service: One of `SERVICES`.
        password: The roles' password; empty where the server trusts its loopback.
    """
    parts = urlsplit(owner_dsn)
    place = parts.netloc.rpartition("@")[2]
    login = role(service) + (f":{quote(password, safe='')}" if password else "")
    return urlunsplit(parts._replace(netloc=f"{login}@{place}"))
