"""How partitions are shared: a rule that every member computes alone and to the same end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from exchange.bus.share import quotas

MEMBERS = st.dictionaries(st.sampled_from("ABCDEF"), st.frozensets(st.sampled_from(["t", "u", "v", "w"])), min_size=1)
TOPICS = st.dictionaries(st.sampled_from(["t", "u", "v", "w"]), st.integers(1, 9))


@given(TOPICS, MEMBERS)
def test_the_shares_of_all_members_are_all_partitions(partitions: dict[str, int], members: dict[str, frozenset[str]]) -> None:
    shares = {me: quotas(partitions, members, me) for me in members}
    for topic, count in partitions.items():
        readers = [me for me in members if topic in members[me]]
        assert sum(shares[me].get(topic, 0) for me in members) == (count if readers else 0)
        assert all(topic not in shares[me] for me in members if me not in readers)
        if readers:
            held = [shares[me][topic] for me in readers]
            assert max(held) - min(held) <= 1


@given(TOPICS, st.integers(1, 6))
def test_members_that_read_the_same_topics_differ_by_one_partition_at_most(partitions: dict[str, int], n: int) -> None:
    members = {f"m{i}": frozenset(partitions) for i in range(n)}
    held = [sum(quotas(partitions, members, me).values()) for me in members]
    assert max(held) - min(held) <= 1


def test_many_topics_of_one_partition_are_shared_evenly() -> None:
    partitions = {f"onedoor.440205.r{n:02}": 1 for n in range(60)}
    members = {me: frozenset(partitions) for me in ("a", "b", "c")}
    assert [sum(quotas(partitions, members, me).values()) for me in members] == [20, 20, 20]
