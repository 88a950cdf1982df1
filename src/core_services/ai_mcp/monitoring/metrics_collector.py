"""The document's import path of `MetricsCollector`."""

from ymera.facade.metrics_collector import MetricsCollector, get_metrics_collector

__all__ = ["MetricsCollector", "get_metrics_collector"]
