"""The HTTP server: OpenAI's chat API, and the features beside it. It translates and computes nothing."""
