"""The services behind the ports that users call."""
