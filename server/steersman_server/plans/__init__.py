"""A request checked against the model that is to answer it, before anything is computed."""
