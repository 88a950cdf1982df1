"""The document's import path; the code is `ymera.facade.security_manager`."""

from ymera.facade.security_manager import *  # noqa: F403
