"""Who may log in: one role and one schema for each service, named alike everywhere.

The roles' password is MAKEGOOD_ROLE_PASSWORD, one for all of them: the installation sets it, services log in with it. Without it the
roles have none, and get in only where the server trusts the connection, as the embedded one trusts its loopback.
"""

from urllib.parse import quote, urlsplit, urlunsplit

from shared.contract.envelope import SERVICES
from shared.settings import load

PROCESSES = (*SERVICES, "console")
"""Whatever has a schema and a role: the services that decide, and the console."""


def role(service: str) -> str:
    """The database role of a service."""
    return f"makegood_{service}"


def password() -> str:
    """The roles' password; empty for none."""
    return load().role_password


def role_dsn(owner_dsn: str, service: str) -> str:
    """A service's way into the database that the owner's DSN names.

    Args:
        owner_dsn: The owner's, as a URL.
        service: One of `PROCESSES`.
    """
    parts = urlsplit(owner_dsn)
    place = parts.netloc.rpartition("@")[2]
    secret = password()
    login = role(service) + (f":{quote(secret, safe='')}" if secret else "")
    return urlunsplit(parts._replace(netloc=f"{login}@{place}"))
