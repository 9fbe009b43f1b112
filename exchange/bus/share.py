"""Who of a group's members may hold how much: one pure rule, so that members agree without talking to each other."""

from __future__ import annotations

from collections.abc import Mapping, Set


def quotas(partitions: Mapping[str, int], members: Mapping[str, Set[str]], me: str) -> dict[str, int]:
    """Return how many partitions of each topic a member may hold; over all members they add up to the topic's partitions.

    What does not divide evenly goes round: over many topics of one partition, members differ by one at most.

    Args:
        partitions: how many partitions each topic has.
        members: the topics that each living member of the group reads.
        me: one of the members.
    """
    mine: dict[str, int] = {}
    turn = 0
    for topic in sorted(partitions):
        readers = sorted(name for name, topics in members.items() if topic in topics)
        if not readers:
            continue
        each, left = divmod(partitions[topic], len(readers))
        if me in readers:
            rank = (readers.index(me) - turn) % len(readers)
            mine[topic] = each + (1 if rank < left else 0)
        turn += left
    return mine
