"""The simulated providers that vendors' own SDKs are pointed at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from ymera.testing import Fault, FaultPlan, FaultRule, ProviderSimulator

KEY = "simulated-key"
PROMPT = "Say hello"
ECHO = "You asked: Say hello"
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a", "b"],
}
TOOL: Any = {
    "type": "function",
    "function": {"name": "add", "description": "Adds.", "parameters": SCHEMA},
}
SAMPLE = {"a": 1, "b": 1}


def user(text: str) -> Any:  # every SDK has a type of its own for it
    """Return one turn."""
    return [{"role": "user", "content": text}]


@pytest.fixture
async def simulator() -> AsyncIterator[ProviderSimulator]:
    """Run one with a fault for some models."""
    faults = [
        FaultRule(model="gpt-6-luna", fault=Fault.ERROR_EVENT),
        FaultRule(model="claude-haiku-4-5", fault=Fault.ERROR_EVENT),
        FaultRule(model="gemini-3.8-flash", fault=Fault.ERROR_EVENT),
        FaultRule(model="qwen3:8b", fault=Fault.ERROR_EVENT),
        FaultRule(model="gpt-6-sol", fault=Fault.OVERLOADED),
        FaultRule(model="claude-opus-5-5", fault=Fault.VENDOR_OVERLOADED),
    ]
    async with ProviderSimulator(faults=FaultPlan(faults)) as running:
        yield running
