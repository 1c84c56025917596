"""Transparency logs as the standards write them, for anybody's log: nothing here knows of motions.

- ``merkle``: RFC 6962 hashing, proofs and their verification; ``frontier``: a root that grows.
- ``tiles``: the tree's hashes in tiles of 256 (C2SP tlog-tiles), and nodes read back out of them.
- ``keys``: Ed25519 signers and verifiers and their text forms; ``notes``: C2SP signed-note.
- ``checkpoints``: C2SP tlog-checkpoint; ``proofs``: C2SP tlog-proof.
- ``errors``: everything that is refused, and what to do about it.

Pure: no file, no network, no clock, no randomness. The standard library and ``cryptography`` only.
"""
