"""The engine: a model and its SAE; decode, edit, inspect, attribute. It knows no HTTP."""
