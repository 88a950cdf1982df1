"""Loading the SDK: late, once, and without its chatter."""

from __future__ import annotations

import logging
from pathlib import Path

__all__ = ["load_sdk"]


def load_sdk() -> None:
    """Import the SDK, which takes half a second the first time.

    Its client logs what servers send, whole and with tracebacks. What matters of that is in our
    own errors, bounded and without secrets; so those loggers speak only if the user made them.
    """
    import mcp
    import mcp.client.streamable_http
    import mcp_types.version  # noqa: F401 - loaded here, used later

    for name in ("mcp.client", "mcp.shared"):
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.CRITICAL)
    home = str(Path(mcp.__file__).parent)
    session = logging.getLogger("client")  # its session logs by a name that others may use too
    if not any(isinstance(known, _NotFrom) for known in session.filters):
        session.addFilter(_NotFrom(home))


class _NotFrom(logging.Filter):
    """Drops what code below a folder logs."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder

    def filter(self, record: logging.LogRecord) -> bool:
        return not record.pathname.startswith(self._folder)
