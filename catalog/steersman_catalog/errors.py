"""What can go wrong when a catalogue is asked."""


class UnknownFeatureError(LookupError):
    """No feature has that index."""

    def __init__(self, index: int, num_features: int) -> None:
        super().__init__(f"No feature {index}: this catalogue's are 0 to {num_features - 1}.")
        self.index = index


class NoEmbeddingsError(ValueError):
    """A search by meaning, and nothing to embed the query with, or nothing to compare it to."""
