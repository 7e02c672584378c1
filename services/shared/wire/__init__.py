"""What peers read: error texts, close reasons, quoting."""
