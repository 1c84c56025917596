"""What follows from what: given a motion and a request, which events should be recorded.

Every command is decided in two halves. First what was *reported* or *decided by a person* is
turned into a record (``reports``, ``people``). Then ``proceed`` says what follows from where the
motion now rests. So a motion whose record stands alone, because the pipeline was halted or the
Knight could not witness, is picked up by the very same ``proceed``, and nothing is redone.
"""
