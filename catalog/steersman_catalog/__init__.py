"""The features of an SAE: what they fire on, and what they are called."""

from steersman_catalog.catalog import Catalog, UnknownFeatureError

__all__ = ["Catalog", "UnknownFeatureError"]
