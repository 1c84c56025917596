"""Was this history lawful? Checks an exported log against the canonical flow, event by event.

Everything here is written from the description of the flow, not from the code that runs it, and
imports none of that code: what the one gets wrong must not be wrong in the other for the same
reason. It needs the standard library and the export, and nothing else.

What it cannot know from events alone it does not judge: whether the bytes are authentic
(``audit verify`` does), in which order motions waited for a place, whether a worker was running
while nothing happened, and whether somebody should have been alerted who was not.
"""
