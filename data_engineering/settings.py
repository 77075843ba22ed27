"""Settings: one frozen object, read from the environment with the prefix LASCOPF_.

A few URLs choose the world: without them the platform runs an embedded PostgreSQL and keeps its
objects in a local folder, both below `home`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


def _default_home() -> Path:
    """`.lascopf` in the checkout the package runs from, or in the user's home when installed."""
    checkout = Path(__file__).resolve().parent.parent
    base = checkout if (checkout / "pyproject.toml").is_file() else Path.home()
    return base / ".lascopf"


class Quality(BaseModel):
    """Thresholds of the data checks; all of them stand here."""

    model_config = SettingsConfigDict(frozen=True)

    voltage_min_pu: float = 0.95
    voltage_max_pu: float = 1.05
    voltage_share: float = Field(0.98, gt=0, le=1, description="share of rows within the limits")
    frequency_min_hz: float = 59.5
    frequency_max_hz: float = 60.5
    capability_tolerance: float = Field(0.02, ge=0, description="output above capability, share")
    completeness: float = Field(0.98, gt=0, le=1, description="share of intervals present")
    disorder_share: float = Field(0.02, ge=0, le=1, description="rows that came out of order")
    good_quality_share: float = Field(0.98, gt=0, le=1, description="share of rows not bad")
    rejected_share: float = Field(0.02, ge=0, le=1, description="rejected rows a batch may have")
    stuck_hours: float = Field(6.0, gt=0, description="equal non-zero readings become suspect")
    gap_minutes: float = Field(15.0, ge=0, description="longest gap that cleaning fills")
    late_hours: float = Field(24.0, gt=0, description="a reading known later than this is late")


class ReoptimizationRules(BaseModel):
    """When the stream asks for a new dispatch; times are of the stream's clock."""

    model_config = SettingsConfigDict(frozen=True)

    interval_minutes: int = Field(5, ge=1, le=60, description="a new dispatch at least so often")
    timer_delay_seconds: float = Field(1.0, ge=0, description="for the scan of the boundary")
    confirm_scans: int = Field(2, ge=1, description="agreeing scans that confirm a status")
    deviation_sigmas: float = Field(3.0, ge=0, description="k: of the forecast's error")
    deviation_fire_share: float = Field(0.03, gt=0, description="of the load; fires above")
    deviation_clear_share: float = Field(0.015, gt=0, description="of the load; armed again below")
    deviation_scans: int = Field(2, ge=1, description="n: scans above the limit ...")
    deviation_window: int = Field(3, ge=1, description="m: ... among the newest so many")
    loading_fire_percent: float = Field(95.0, gt=0, description="of a branch's continuous rating")
    loading_clear_percent: float = Field(90.0, gt=0, description="armed again below")
    price_change_usd_per_mwh: float = Field(5.0, gt=0, description="revision that counts")
    debounce_seconds: float = Field(5.0, ge=0, description="quiet after the newest cause ...")
    debounce_longest_seconds: float = Field(10.0, ge=0, description="... but no longer than this")
    settle_seconds: float = Field(2.0, ge=0, description="the same after a trip within a storm ...")
    storm_seconds: float = Field(30.0, ge=0, description="... which is so long, and held so long")
    cooldown_seconds: float = Field(10.0, ge=0, description="after a solve, at least its duration")
    stale_seconds: float = Field(900.0, gt=0, description="older readings count for nothing")
    fresh_share: float = Field(0.9, gt=0, le=1, description="points that a dispatch needs fresh")
    dead_man_minutes: float = Field(15.0, gt=0, description="without a solve: alarm")
    solve_limit_seconds: float = Field(300.0, gt=0, description="a solve that takes longer is lost")
    clock: Literal["auto", "wall", "event", "recording"] = Field(
        "auto",
        description="wall: this machine's; event: the newest reading tells the time, for replays "
        "of the past; recording: the same, and time stands still until the next one is read; "
        "auto: recording for a file, event for a file that is followed, else wall",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for low, high in (
            ("deviation_clear_share", "deviation_fire_share"),
            ("deviation_scans", "deviation_window"),
            ("loading_clear_percent", "loading_fire_percent"),
            ("debounce_seconds", "debounce_longest_seconds"),
            ("settle_seconds", "storm_seconds"),
        ):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low} {getattr(self, low)} is above {high}; give at most that")
        return self


class RealtimeDispatch(BaseModel):
    """How the stream's dispatches are made; their intervals are those of the rules."""

    model_config = SettingsConfigDict(frozen=True)

    intervals: int = Field(12, ge=1, le=72, description="look-ahead, in intervals")
    outages: Literal["n-1", "none"] = Field("n-1", description="secure against these outages")
    fade_minutes: float = Field(60.0, gt=0, description="errors of forecasts fall to 1/e")
    quick_start_minutes: float = Field(10.0, ge=0, description="until a quick unit runs")
    time_limit_seconds: float = Field(30.0, gt=0, description="of a solve")
    ac_check: bool = Field(True, description="check each dispatch by AC power flow")
    ac_outages: bool = Field(True, description="... after every outage too")
    through: Literal["direct", "airflow"] = Field(
        "direct", description="direct: the stream's process solves; airflow: a DAG run does"
    )


class Stream(BaseModel):
    """How the stream of measurements is read and stored."""

    model_config = SettingsConfigDict(frozen=True)

    group: str = Field("lascopf", min_length=1, max_length=100, description="consumer group")
    instance: str | None = Field(
        None, pattern=r"^[A-Za-z0-9._-]{1,100}$", description="restarts keep its partitions"
    )
    batch_messages: int = Field(20_000, ge=1, description="most messages in one transaction")
    batch_bytes: int = Field(16_000_000, ge=1, description="most bytes in one transaction")
    max_message_bytes: int = Field(4_000_000, ge=1, description="a longer one is a dead letter")
    max_age_days: float = Field(3660.0, gt=0, description="a reading this far before its message")
    max_ahead_minutes: float = Field(60.0, gt=0, description="... or this far after it is absurd")
    beat_seconds: float = Field(5.0, gt=0, description="signs of life of a member")
    session_seconds: float = Field(15.0, ge=6, description="silence that loses the partitions")
    retry_seconds: float = Field(5.0, gt=0, description="longest wait for the database at once")
    check_points: bool = Field(True, description="refuse readings of points not in the case")


class Settings(BaseSettings):
    """Everything that an operator may choose."""

    model_config = SettingsConfigDict(
        env_prefix="LASCOPF_", env_nested_delimiter="__", frozen=True, extra="forbid"
    )

    home: Path = Field(default_factory=_default_home, description="state folder")
    timeseries_url: SecretStr | None = Field(None, description="postgresql://...; none: embedded")
    metadata_url: SecretStr | None = Field(None, description="postgresql://...; none: embedded")
    airflow_url: SecretStr | None = Field(None, description="postgresql://...; none: embedded")
    database_password: SecretStr | None = Field(
        None, description="for the URLs of both stores, where these have a user and no password"
    )
    objects_url: str | None = Field(None, description="s3://bucket/prefix or file:///folder")
    s3_endpoint: str | None = Field(None, description="http(s)://host:port of an S3 server")
    s3_access_key: SecretStr | None = None
    s3_secret_key: SecretStr | None = None
    s3_region: str = "us-east-1"
    kafka_bootstrap: str | None = Field(None, description="host:port,... of brokers; none: files")
    kafka_security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    kafka_user: str | None = Field(None, description="of SASL")
    kafka_password: SecretStr | None = Field(None, description="of SASL")
    kafka_ca_file: Path | None = Field(None, description="who signs the brokers' certificates")
    airflow_port: int = Field(8080, ge=1024, le=65535)
    dags_folder: Path | None = Field(None, description="DAG files; none: the checkout's dags/")
    plugins_folder: Path | None = Field(None, description="plugins; none: the checkout's plugins/")
    parallelism: int = Field(4, ge=1, description="tasks at once on this machine")
    case_name: str = "rts_gmlc"
    rts_gmlc_folder: Path | None = Field(None, description="RTS-GMLC tables; none: the wheel's")
    commitment_gap: float = Field(0.005, gt=0, lt=1)
    commitment_lookahead_hours: int = Field(6, ge=0, le=24)
    commitment_time_limit_seconds: float = Field(300.0, gt=0)
    exchange_folder: Path | None = Field(
        None, description="queue shared with the Julia solver; none: exchange/ below home"
    )
    exchange_wait_seconds: float = Field(1500.0, gt=0, description="for an answer of that solver")
    exchange_keep_days: float = Field(7.0, gt=0, description="older entries of it are removed")
    quality: Quality = Field(default_factory=Quality)
    stream: Stream = Field(default_factory=Stream)
    reoptimization: ReoptimizationRules = Field(default_factory=ReoptimizationRules)
    realtime: RealtimeDispatch = Field(default_factory=RealtimeDispatch)

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()


SECRETS_FOLDER = Path("/run/secrets")
"""Containers find secrets here, each in a file of its variable's name: `lascopf_s3_secret_key`."""


@cache
def get_settings() -> Settings:
    """The settings of this process, read once; variables go before files of secrets."""
    return Settings(_secrets_dir=SECRETS_FOLDER if SECRETS_FOLDER.is_dir() else None)
