"""Shipped doubles: test your own code against Ymera, or against providers, without any provider.

`ScriptedProvider` answers in process. `Simulator` is a loopback server of one provider of the
OpenAI dialect; `simulated_providers` plays every provider of the catalogue in its own dialects,
quotas, error bodies and faults included.
"""

from ymera.testing.answers import ScriptLine, embedded_answers, obliging_echo, script_answers
from ymera.testing.fault_plan import FaultPlan, FaultRule
from ymera.testing.providers import ProviderSimulator, simulated_providers
from ymera.testing.scripted import ScriptedAnswer, ScriptedProvider
from ymera.testing.simulator import Fault, Simulator

__all__ = [
    "Fault",
    "FaultPlan",
    "FaultRule",
    "ProviderSimulator",
    "ScriptLine",
    "ScriptedAnswer",
    "ScriptedProvider",
    "Simulator",
    "embedded_answers",
    "obliging_echo",
    "script_answers",
    "simulated_providers",
]
