"""The request pipeline: admission, guards, routing, attempts, record (read `gateway.py` first)."""
