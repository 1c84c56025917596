"""Where the API is."""

PREFIX = "/api/v1"
DESCRIPTION_PATH = f"{PREFIX}/openapi.json"
