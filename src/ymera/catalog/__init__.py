"""Which models exist, where, on what terms, and who says so."""

from ymera.catalog.catalog import Catalog
from ymera.catalog.load import load

__all__ = ["Catalog", "load"]
