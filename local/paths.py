"""Where everything lies. All local state is under `.local/`."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".local"

VENVS = STATE / "venvs"
LOGS = STATE / "log"
RUN = STATE / "run"
TEMPORARY = STATE / "tmp"
ENVIRONMENT = STATE / "env"
COMMAND = STATE / "bin" / "tieout"
# A copy of what is deployed, so that the folder `dist/` never holds anything but release builds for AWS.
DEPLOYED = STATE / "deploy"
DEMO = STATE / "demo"

DIST = ROOT / "dist"
TEMPLATE = ROOT / "template.yaml"
SAM_CONFIG = ROOT / "samconfig.toml"
STATE_MACHINES = ROOT / "state-machines"
EVENTS = ROOT / "events"
FUNCTIONS = ROOT / "functions"
SPARK = ROOT / "spark"
EXAMPLES = ROOT / "examples"
REQUIREMENTS = ROOT / "local"


def shown(path: Path) -> str:
    """A path as a person would type it in the project's folder."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
