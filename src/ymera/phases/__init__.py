"""Multi-model runs: an agent turns a task into phases, each asked of the model that suits it."""
