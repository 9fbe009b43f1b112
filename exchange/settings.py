"""Every setting of the hub, in one class: ``ONEDOOR_*`` from the environment, then ``onedoor.toml`` of the data folder, then
what ``onedoor up`` wrote to the data folder (ports and passwords it made), then the defaults here.
"""

from __future__ import annotations

import json
import os
import tomllib
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from schemas.clock import Clock, clock_from_setting
from schemas.errors import Fault, RejectedError

CONFIG_NAME = "onedoor.toml"
STATE_NAME = "state.json"
"""Written by ``onedoor up``, 0600: what it chose for this data folder, by the names of the settings below."""


class Settings(BaseSettings):
    """The settings. Each may be set as ``ONEDOOR_<NAME>`` or as ``<name>`` in ``onedoor.toml``."""

    model_config = SettingsConfigDict(env_prefix="ONEDOOR_", extra="forbid", frozen=True)

    home: Path = Field(Path(".onedoor"), description="the data folder: all state of a default installation lives under it")
    production: bool = Field(
        False, description="a production installation: a set clock and other demo conveniences are refused"
    )
    division: str = Field("440205", pattern=r"^\d{6}$", description="division code of the district, a part of topic names")
    database_url: str = Field("", repr=False, description="the hub's database, as its owner; empty: the embedded PostgreSQL")
    api_database_url: str = Field(
        "", repr=False, description="the same as the API's role, which reads the store and appends to the ledger"
    )
    registry_database_url: str = Field(
        "",
        repr=False,
        description="the same as the role by which the API changes the registry; empty: it does so as the API's role, "
        "which is refused where that role only reads",
    )
    bus: Literal["postgres", "kafka"] = Field(
        "postgres", description="what carries messages; fixed at a data folder's first start"
    )
    kafka: str = Field("", description="bootstrap servers of an Apache Kafka, host:port[,host:port]")
    api_port: int = Field(0, ge=0, le=65535, description="port of the API on loopback; 0: a free one, kept for later starts")
    airflow_port: int = Field(
        0, ge=0, le=65535, description="port of Airflow on loopback; 0: a free one, kept for later starts"
    )
    postgres_port: int = Field(
        0, ge=0, le=65535, description="port of the embedded PostgreSQL on loopback; 0: a free one, kept"
    )
    clock: str = Field("", description="a set clock, <start>@<anchor>[x<rate>]; refused in production")
    chunk_rows: int = Field(100_000, ge=1, description="rows of a chunk: the unit of retry")
    message_rows: int = Field(20_000, ge=1, description="rows of a message at most")
    land_bytes: int = Field(8 << 20, ge=1 << 10, description="bytes of messages that one landing transaction takes at most")
    spool_bytes: int = Field(2 << 30, ge=1 << 20, description="the most that the spool may hold while the broker is away")
    sample_rows: int = Field(200_000, ge=0, description="rows of the sample that Great Expectations sees; 0: no report")
    report: Literal["worker", "off"] = Field("worker", description="who makes the quality report of a run beside its path")
    ledger_publish: Path | None = Field(
        None, description="a folder outside the database for signed checkpoints; default under home"
    )
    checkpoint_s: float = Field(10.0, gt=0, description="seconds between two checkpoints of the ledger, at most")
    lease_s: float = Field(10.0, gt=0, description="seconds after which a dead member's work goes to another")
    bus_keep_days: int = Field(
        7, ge=1, description="days that the PostgreSQL bus keeps messages; on Kafka the topic's retention says so"
    )
    token_ttl_s: int = Field(300, ge=10, le=300, description="seconds that an access token lives")
    bulk_personal_rows: int = Field(
        100,
        ge=0,
        description="rows with personal fields that queries for a case may give in a day under a grant; more need a bulk "
        "export that a second person approved",
    )
    clock_rules: Path | None = Field(
        None, description="a TOML file of the days that this deployment gives a step, see clocks; default: the shipped rules"
    )
    workdays_notice: Path | None = Field(
        None, description="a CSV file of working days and days off, beside those that are shipped: the notice of a further year"
    )
    public_url: str = Field(
        "",
        pattern=r"^(https?://[A-Za-z0-9._~:/%\[\]-]+)?$",
        description="address under which others reach the hub; names in DCAT begin with it, and what begins with it is known "
        "as the own when another catalogue is harvested",
    )
    harvest_allow: str = Field(
        "",
        description="addresses below which other catalogues may be harvested, with commas between: "
        "https://data.example.gov.cn/catalogue/; empty: none",
    )
    harvest_bytes: int = Field(64 << 20, ge=1 << 10, description="bytes of another catalogue at most")
    harvest_s: float = Field(300.0, gt=0, description="seconds in which another catalogue must be read")
    trusted_proxies: str = Field(
        "",
        description="networks of the proxies before the API, as CIDR with commas between: X-Forwarded-For is believed of these "
        "only; empty: of nobody",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="how much the logs say")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment before arguments, which are what the files of the data folder say."""
        return env_settings, init_settings

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, text: str) -> str:
        _networks(text)
        return text

    @cached_property
    def proxies(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks of the proxies before the API."""
        return _networks(self.trusted_proxies)

    @cached_property
    def the_clock(self) -> Clock:
        """The clock of all processes of this installation."""
        return clock_from_setting(self.clock, production=self.production)

    @property
    def keys_dir(self) -> Path:
        """Where keys are, 0700."""
        return self.home / "keys"

    @property
    def spool_dir(self) -> Path:
        """Where sealed chunks and samples wait."""
        return self.home / "spool"

    @property
    def logs_dir(self) -> Path:
        """Where logs are."""
        return self.home / "logs"

    @property
    def dags_file(self) -> Path:
        """The registry's snapshot that the DAG factory reads, and nothing else."""
        return self.home / "dags.json"

    @property
    def docs_dir(self) -> Path:
        """Where Great Expectations keeps its Data Docs."""
        return self.home / "data_docs"

    @property
    def checkpoints_dir(self) -> Path:
        """Where signed checkpoints are published outside the database."""
        return self.ledger_publish or self.home / "checkpoints"


def _networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def load_settings(home: Path | None = None) -> Settings:
    """Return the settings of a data folder.

    Args:
        home: the data folder; default ``ONEDOOR_HOME``, else ``.onedoor`` here.

    Raises:
        RejectedError: ``onedoor.toml`` is not TOML, or a setting is unknown or of the wrong kind; each is named.
    """
    folder = (home or Path(os.environ.get("ONEDOOR_HOME", ".onedoor"))).absolute()
    values: dict[str, Any] = {}
    state = folder / STATE_NAME
    config = folder / CONFIG_NAME
    if state.exists():
        values |= json.loads(state.read_text("utf-8")).get("settings", {})
    if config.exists():
        try:
            values |= tomllib.loads(config.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RejectedError(
                f"{CONFIG_NAME} is not TOML: {error}",
                code="settings.toml",
                where=str(config),
                remedy="mend the line or remove the file",
                fault=Fault.CLIENT,
            ) from None
    try:
        settings = Settings(**(values | {"home": folder}))
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(p) for p in e['loc'])}: {e['msg'].lower()}"
            for e in error.errors(include_input=False, include_url=False)
        )
        raise RejectedError(
            f"settings are wrong: {faults}",
            code="settings.value",
            where=f"{config} or ONEDOOR_*",
            remedy="see docs/reference/settings.md",
            fault=Fault.CLIENT,
        ) from None
    return settings.model_copy(update={"home": folder})
