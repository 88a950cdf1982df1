"""The composition root: Settings -> App; the only place where parts are wired together."""

from ymera.app.app import App

__all__ = ["App"]
