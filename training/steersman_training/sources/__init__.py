"""Where chats and texts come from: files, packages and the hub, each a sequence of records."""
