"""Many branch workers at once over HTTP, on a full store: ``make load``."""
