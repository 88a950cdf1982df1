"""The document's import path of `TrainingManager`."""

from ymera.facade.training_manager import TrainingManager, get_training_manager

__all__ = ["TrainingManager", "get_training_manager"]
