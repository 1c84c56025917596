"""What the pipeline does, in terms of ports."""
