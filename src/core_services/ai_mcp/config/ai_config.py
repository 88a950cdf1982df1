"""The document's import path of `AIConfig`."""

from ymera.facade.ai_config import AIConfig

__all__ = ["AIConfig"]
