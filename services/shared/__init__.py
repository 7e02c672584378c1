"""The libraries that the roles build on. Nothing lives directly in this folder."""
