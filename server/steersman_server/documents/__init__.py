"""The API's documents: the OpenAPI description, and a page of it that needs no other host."""
