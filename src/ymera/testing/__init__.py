"""Shipped doubles: test your own code against Ymera without any provider.

`ScriptedProvider` answers in process; `Simulator` is a loopback server that speaks a provider's
dialect, faults included.
"""

from ymera.testing.scripted import ScriptedAnswer, ScriptedProvider
from ymera.testing.simulator import Fault, Simulator

__all__ = ["Fault", "ScriptedAnswer", "ScriptedProvider", "Simulator"]
