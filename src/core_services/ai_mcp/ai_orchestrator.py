"""The document's import path; the code is `ymera.facade.ai_orchestrator`."""

from ymera.facade.ai_orchestrator import *  # noqa: F403
