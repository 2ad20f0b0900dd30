"""What a server does about what should not be shown, steered or said: `docs/moderation.md`."""
