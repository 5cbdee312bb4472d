"""Ports, credentials and names of the local stack, and the environments that programs get from them."""

from __future__ import annotations

import os
from dataclasses import dataclass

from local import paths
from local.console import Stop

HOST = "127.0.0.1"
STACK = "tieout"
REGION = "us-east-1"
# The emulator takes this pair for the account's root; it opens nothing anywhere else.
ACCESS_KEY = "test"
SECRET_KEY = "test"

EMULATOR_PORT_VARIABLE = "TIEOUT_PORT"
VALKEY_PORT_VARIABLE = "TIEOUT_VALKEY_PORT"
DEFAULT_EMULATOR_PORT = 4566
DEFAULT_VALKEY_PORT = 16379

# What programs may inherit from the caller. Anything else (AWS profiles, proxies, session tokens) could send a call
# that is meant for the emulator to a real account.
INHERITED = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "USER")


@dataclass(frozen=True)
class Settings:
    """The addresses of the two services."""

    emulator_port: int
    valkey_port: int

    @property
    def endpoint(self) -> str:
        """The emulator's URL."""
        return f"http://{HOST}:{self.emulator_port}"

    def exported(self) -> dict[str, str]:
        """What `.local/env` holds: all that a program needs to use the stack."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "REDIS_HOST": HOST,
            "REDIS_PORT": str(self.valkey_port),
            "TIEOUT_STACK": STACK,
        }


def chosen(running: dict[str, str]) -> Settings:
    """The ports asked for; else those of the stack that was started last; else the defaults."""

    def port(variable: str, last: str | None, default: int) -> int:
        text = os.environ.get(variable) or last or str(default)
        if not (text.isascii() and text.isdigit() and 1024 <= int(text) <= 65535):
            raise Stop(f"{variable}={text}: a port is a number from 1024 to 65535")
        return int(text)

    last_emulator = running.get("AWS_ENDPOINT_URL", "").rpartition(":")[2]
    settings = Settings(
        port(EMULATOR_PORT_VARIABLE, last_emulator, DEFAULT_EMULATOR_PORT),
        port(VALKEY_PORT_VARIABLE, running.get("REDIS_PORT"), DEFAULT_VALKEY_PORT),
    )
    if settings.emulator_port == settings.valkey_port:
        raise Stop(f"{EMULATOR_PORT_VARIABLE} and {VALKEY_PORT_VARIABLE} are both {settings.valkey_port}")
    return settings


def written() -> dict[str, str]:
    """What `.local/env` says; empty before the first `make up`."""
    if not paths.ENVIRONMENT.exists():
        return {}
    lines = (line.partition("=") for line in paths.ENVIRONMENT.read_text().splitlines())
    return {name: value for name, separator, value in lines if separator}


def current() -> Settings:
    """The settings in force."""
    return chosen(written())


def no_aws_files() -> dict[str, str]:
    """Keeps a person's own AWS configuration out."""
    return {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": HOST,
        "no_proxy": HOST,
    }


def sealed(extra: dict[str, str]) -> dict[str, str]:
    """An environment with nothing of the caller's but [`INHERITED`]."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return inherited | no_aws_files() | extra


def own(environment: dict[str, str]) -> dict[str, str]:
    """What of an environment is not the caller's: the same in every terminal."""
    return {name: value for name, value in environment.items() if name not in INHERITED}


def opened(settings: Settings) -> dict[str, str]:
    """The caller's environment (a build needs it) turned towards the local stack, without its AWS variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | no_aws_files() | settings.exported()
