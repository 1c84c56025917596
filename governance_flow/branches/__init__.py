"""The branch services: the built-in ones and the adapters to those elsewhere."""
