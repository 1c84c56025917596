"""A motion's story in plain language: events in, sentences out."""
