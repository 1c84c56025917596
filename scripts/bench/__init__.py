"""Measures how fast the pipeline is, against a peer, against the limit, and as the store grows.

    python -m scripts.bench                 # everything of ours, about five minutes
    python -m scripts.bench --peers         # the same, and the peer in the same run
    python -m scripts.bench --quick         # the smallest run that goes through all of it
    python -m scripts.bench.report FILE     # a finished run as Markdown

What is compared is measured in turns (A B C A B C ...), so that a machine that slows down slows all
of them down; what counts is the ratio of medians. Every raw figure goes into the JSON. All stores
are durable as in production: the commit of an append has reached the disk when it returns.
"""
