"""The document's `AIConfig` over the layered settings."""

from __future__ import annotations

from ymera.config import load_settings

__all__ = ["AIConfig"]


class AIConfig:
    """Settings as a tree of dictionaries, read once when made.

    The tree is the document's, with more keys. Besides `config/ai_config_{env}.json` it takes in
    every other layer of `ymera.config.load`: what this says is what the rest of Ymera does.

    Args:
        env: name of the environment; None is `YMERA_ENV`, else development.

    Raises:
        ConfigError: a configuration file or variable is wrong.

    Attributes:
        env: name of the environment.
        config: values as JSON would hold them; money is text, so that it stays exact.
    """

    def __init__(self, env: str | None = None) -> None:
        loaded = load_settings(env=env)
        self.env = loaded.env
        self.config: dict[str, object] = loaded.settings.model_dump(mode="json")

    def get(self, key_path: str, default: object = None) -> object:
        """Return the value at a path such as `performance.timeout_seconds`.

        Args:
            key_path: names joined by dots; the path of a section returns its dictionary.
            default: returned when there is no such path.
        """
        value: object = self.config
        for key in key_path.split("."):
            if not isinstance(value, dict) or key not in value:
                return default
            value = value[key]
        return value
