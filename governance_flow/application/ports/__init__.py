"""The interfaces the application needs from the world outside."""
