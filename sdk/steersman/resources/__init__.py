"""The methods of both clients, grouped as on the wire."""
