"""`core_services.ai_mcp.monitoring.metrics_collector` of the user's document."""

from __future__ import annotations

from ymera.facade.shared import shared_app
from ymera.monitoring.collector import MetricsCollector

__all__ = ["MetricsCollector", "get_metrics_collector"]


def get_metrics_collector() -> MetricsCollector:
    """Return the process's collector, which counts every request of its app.

    Raises:
        ConfigError: a setting is wrong.
        CatalogError: the bundled catalogue is damaged.
        MachineError: the data directory cannot be used.
    """
    return shared_app().observing.metrics
