"""The document's import path; the code is `ymera.facade.multi_model_executor`."""

from ymera.facade.multi_model_executor import *  # noqa: F403
