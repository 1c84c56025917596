"""The dashboard: pages for people on duty, beside the API and on the same rules."""
