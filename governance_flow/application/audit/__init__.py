"""The audit: what the log says, checked, replayed and exported without trusting anything else.

``verify`` looks for faults, ``replay`` rebuilds the past from events alone, ``export`` hands the
events to somebody else's programs. All of them read in pages, and none keeps more in memory than
a page and one motion.
"""
