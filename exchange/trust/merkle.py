"""The Merkle tree hash of RFC 9162, section 2.1.1: leaves ``SHA-256(0x00 ‖ d)``, nodes ``SHA-256(0x01 ‖ left ‖ right)``."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256


def merkle_root(entries: Iterable[bytes]) -> bytes:
    """Return the root over entries in their order; of none, the hash of the empty string. Holds log2(n) hashes at a time."""
    stack: list[tuple[int, bytes]] = []  # perfect subtrees, largest first: (height, hash)
    for entry in entries:
        height, node = 0, sha256(b"\x00" + entry).digest()
        while stack and stack[-1][0] == height:
            node = sha256(b"\x01" + stack.pop()[1] + node).digest()
            height += 1
        stack.append((height, node))
    if not stack:
        return sha256(b"").digest()
    root = stack.pop()[1]
    while stack:
        root = sha256(b"\x01" + stack.pop()[1] + root).digest()
    return root
