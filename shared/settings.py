"""Settings: from the environment (`MAKEGOOD_…`). Beside each stands which process reads it."""

from ipaddress import ip_address
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.contract.envelope import TENANT

ALL = "all: the services, `makegood`"
SERVICES = "the services"
COMMAND = "`makegood`"
INSTALL = "`makegood install`, `makegood up`"

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def _setting(default: Any, read_by: str, about: str, **limits: Any) -> Any:
    """A setting: its default, who reads it, and what it means, with its unit."""
    return Field(default, description=about, json_schema_extra={"read_by": read_by}, **limits)


class Settings(BaseSettings):
    """All settings, each with its unit."""

    model_config = SettingsConfigDict(env_prefix="MAKEGOOD_", extra="ignore")

    kafka: str = _setting("127.0.0.1:9092", ALL, "Kafka's bootstrap servers, comma separated.")
    database: str = _setting(
        "postgresql://127.0.0.1/makegood",
        ALL,
        "PostgreSQL, as a URL. `makegood` itself reads and installs as the owner, and needs the owner's URL. `makegood run` needs the "
        "server and the database only: it logs in as the service's own role, whoever the URL names.",
    )
    role_password: str = _setting(
        "",
        "`makegood install`, `makegood run`",
        "The password of the services' roles, one for all of them: `install` sets it, `run` logs in with it. Empty: they have none, and "
        "get in only where PostgreSQL trusts the connection.",
    )
    console: str = _setting("", COMMAND, "The console's address, as in http://127.0.0.1:8000, where it is not the embedded stack's.")
    home: Path = _setting(Path(".makegood"), COMMAND, "Where the embedded stack keeps everything.")
    maven: str = _setting("", "`makegood up`", "A mirror of Maven Central, for the jars of the embedded Kafka; empty for Maven Central.")
    tenant: str = _setting(TENANT, ALL, f"The tenant of this installation. There can be no other than `{TENANT}` yet.")
    shards: int = _setting(16, INSTALL, "Shards of a new installation: fixed when it is made.", ge=1, le=1024)
    port: int = _setting(
        0, SERVICES, "The port for /healthz, /readyz and /metrics, and for the console's API and pages; 0 for none.", ge=0, le=65535
    )
    bind: str = _setting(
        "127.0.0.1", SERVICES, "The address to listen on. Only loopback until logins exist. Under `makegood up` it is always 127.0.0.1."
    )
    submissions: str = _setting(
        "complaints.submissions",
        f"intake, {INSTALL}, `makegood doctor`, `makegood replay`",
        "The topics that upstreams write to, comma separated. `install` makes them. One that was ever read stays in the list.",
    )
    batch_records: int = _setting(500, SERVICES, "Most records of one batch: one shard, one transaction.", ge=1, le=10_000)
    session_timeout_ms: int = _setting(
        10_000,
        SERVICES,
        "Kafka's session time-out of a consumer, in milliseconds. Brokers take no less than 6000 unless told otherwise.",
        ge=1000,
    )
    instance: str = _setting(
        "",
        SERVICES,
        "A name of this process among those of its service, the same after every start, as a StatefulSet's pods have one: killed, it gets "
        "its shards back as soon as it runs again, and nobody else's stand still meanwhile. `makegood up` sets it. Empty: its shards are "
        "shared out among the others when its session has timed out, and once more when it comes back.",
        max_length=100,
        pattern=r"^[A-Za-z0-9._-]*$",
    )
    otlp: str = _setting(
        "",
        "`makegood up`, `makegood trace export`",
        "Where traces go (OTLP over HTTP, e.g. http://127.0.0.1:4318/v1/traces); empty for nowhere. `makegood up` sends them there all the "
        "time; on servers of your own `makegood trace export --follow` does.",
    )
    log_level: str = _setting("INFO", SERVICES, f"{', '.join(LOG_LEVELS[:-1])} or {LOG_LEVELS[-1]}.")

    @field_validator("bind")
    @classmethod
    def _only_loopback(cls, bind: str) -> str:
        try:
            loopback = bind == "localhost" or ip_address(bind).is_loopback
        except ValueError:
            loopback = False
        if not loopback:
            raise ValueError(f"{bind} is not loopback: there are no logins yet, so nobody else may reach this. Say 127.0.0.1")
        return bind

    @field_validator("database")
    @classmethod
    def _a_url(cls, database: str) -> str:
        if not database.startswith(("postgresql://", "postgres://")):
            raise ValueError("it is not PostgreSQL's: write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
        return database

    @field_validator("log_level")
    @classmethod
    def _known(cls, level: str) -> str:
        if level.upper() not in LOG_LEVELS:
            raise ValueError(f"there is no level {level!r}: say {', '.join(LOG_LEVELS[:-1])} or {LOG_LEVELS[-1]}")
        return level.upper()

    @field_validator("tenant")
    @classmethod
    def _only_one(cls, tenant: str) -> str:
        if tenant != TENANT:
            raise ValueError(f"there is only the tenant {TENANT} yet, since ids are derived under it, not {tenant!r}: leave it out")
        return tenant

    @property
    def submission_topics(self) -> tuple[str, ...]:
        """The topics that upstreams write to."""
        return tuple(topic.strip() for topic in self.submissions.split(",") if topic.strip())


def load() -> Settings:
    """The settings in force."""
    return Settings()
