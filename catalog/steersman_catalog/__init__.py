"""The features of an SAE: what they fire on, and what they are called."""

from steersman_catalog.catalog import Catalog
from steersman_catalog.errors import NoEmbeddingsError, UnknownFeatureError
from steersman_catalog.filters import KINDS, FeatureFilter

__all__ = ["KINDS", "Catalog", "FeatureFilter", "NoEmbeddingsError", "UnknownFeatureError"]
