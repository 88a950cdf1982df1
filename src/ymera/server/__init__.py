"""The HTTP front doors: a raw ASGI hot path for chat, Starlette for everything else."""
