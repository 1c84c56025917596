"""The HTTP service: everything that the pipeline can do, for programs in any language."""
