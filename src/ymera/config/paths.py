"""The data directory: where it is, what lies in it, and whether it can be written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from ymera.core.errors import MachineError

__all__ = ["DataPaths", "ensure_writable", "locate_data_dir"]

LOCAL_DATA_DIR = "_data"


@dataclass(frozen=True)
class DataPaths:
    """What lies where; nothing is created by asking.

    Attributes:
        root: the data directory.
    """

    root: Path

    @property
    def audit_logs(self) -> Path:
        """Directory of audit files, one JSON object per line."""
        return self.root / "security" / "audit_logs"

    @property
    def encryption(self) -> Path:
        """Directory of what encrypted keys need."""
        return self.root / "security" / "encryption"

    @property
    def ai_performance(self) -> Path:
        """Directory of what was learned from outcomes."""
        return self.root / "ai_performance"

    @property
    def models(self) -> Path:
        """Directory of model files, unless `local.models_dir` names another."""
        return self.root / "models"

    @property
    def closed_providers(self) -> Path:
        """File of providers that are closed because they billed."""
        return self.root / "providers" / "closed.json"

    @property
    def cooling(self) -> Path:
        """Directory in which running servers say whom they do not ask for a while."""
        return self.root / "providers" / "cooling"

    @property
    def records(self) -> Path:
        """SQLite database of request records."""
        return self.root / "records.sqlite3"


def locate_data_dir(
    configured: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> DataPaths:
    """Return the data directory, which need not exist yet.

    Args:
        configured: `Settings.data_dir`, which holds `YMERA_DATA_DIR` already; without loaded
            settings leave it None and the variable is read here.
        environ: environment variables; None reads this process's.
        cwd: working directory; None is this process's.

    Returns:
        The configured one, else `YMERA_DATA_DIR`, else an existing `./_data`, else the platform's
        directory for user data.
    """
    environ = os.environ if environ is None else environ
    cwd = Path.cwd() if cwd is None else cwd
    if configured is None and (named := environ.get("YMERA_DATA_DIR", "").strip()):
        configured = Path(named).expanduser()
    if configured is not None:
        return DataPaths(cwd / configured)
    if (cwd / LOCAL_DATA_DIR).is_dir():
        return DataPaths(cwd / LOCAL_DATA_DIR)
    return DataPaths(platformdirs.user_data_path("ymera", appauthor=False))


def ensure_writable(directory: Path) -> Path:
    """Create a directory where it is missing, for its owner only (mode 0700), and try to write.

    Args:
        directory: absolute; missing parents are created with the same mode.

    Returns:
        The directory.

    Raises:
        MachineError: a file is in the way, or the system refuses.
    """
    try:
        for folder in [*reversed(directory.parents), directory]:
            if not folder.exists():
                folder.mkdir(mode=0o700, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory, prefix=".ymera-probe-"):
            return directory
    except (FileExistsError, NotADirectoryError) as error:
        raise MachineError(
            f"{directory} cannot be a directory: a file is in the way.",
            hint="Move that file, or name another data directory with YMERA_DATA_DIR.",
            param="data_dir",
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a usable path"
        raise MachineError(
            f"{str(directory)!a} cannot be written: {reason}.",
            hint="Make it writable for your user, or name another with YMERA_DATA_DIR.",
            param="data_dir",
        ) from error
