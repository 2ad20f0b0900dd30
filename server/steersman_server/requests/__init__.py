"""From the bytes of a request to a wire type, strictly."""
