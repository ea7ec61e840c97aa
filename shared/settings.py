"""Settings: from the environment (`MAKEGOOD_…`), the same for every process."""

from ipaddress import ip_address
from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """All settings, each with its unit."""

    model_config = SettingsConfigDict(env_prefix="MAKEGOOD_", extra="ignore")

    kafka: str = Field("127.0.0.1:9092", description="Kafka's bootstrap servers, comma separated.")
    database: str = Field(
        "postgresql://127.0.0.1/makegood",
        description="PostgreSQL, as a URL. A service logs in with its own role; `makegood` itself as the owner.",
    )
    home: Path = Field(Path(".makegood"), description="Where the embedded stack keeps everything.")
    tenant: str = Field("default", description="The tenant of this installation.")
    shards: int = Field(16, ge=1, le=1024, description="Shards of a new installation: fixed when it is made.")
    port: int = Field(0, ge=0, le=65535, description="A service's port for /healthz, /readyz and /metrics; 0 for none.")
    bind: str = Field("127.0.0.1", description="The address to listen on. Only loopback until logins exist.")
    submissions: str = Field("complaints.submissions", description="The topics that upstreams write to, comma separated.")
    batch_records: int = Field(500, ge=1, le=10_000, description="Most records a batch takes, over all shards.")
    session_timeout_ms: int = Field(10_000, ge=1000, description="Kafka's session time-out of a consumer, in milliseconds.")
    otlp: str = Field("", description="Where traces go (OTLP over HTTP, e.g. http://127.0.0.1:4318/v1/traces); empty for nowhere.")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")

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

    @property
    def submission_topics(self) -> tuple[str, ...]:
        """The topics that upstreams write to."""
        return tuple(topic.strip() for topic in self.submissions.split(",") if topic.strip())


def load() -> Settings:
    """The settings in force."""
    return Settings()
