"""However many workers there are, every site is one worker's, and none has much more than another."""

from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from hub.ingest.share import REST, shard_of, share, target

SITES = st.sets(st.text("ABC", min_size=1, max_size=6), max_size=12)


@given(st.integers(0, 300), st.integers(1, 9))
def test_the_targets_of_all_are_everything_and_differ_by_one_at_most(units: int, workers: int) -> None:
    pids = list(range(workers))
    targets = [target(units, pids, pid) for pid in pids]
    assert sum(targets) == units
    assert max(targets) - min(targets) <= 1
    assert target(units, pids, -1) == 0


@given(SITES, st.integers(2, 6), st.sampled_from(["A", "ABC", "ZZZ"]), st.sampled_from(["NBIRTH", "DBIRTH", "DDATA"]))
def test_every_message_is_taken_by_one_worker_who_gets_it_once(
    sites: set[str], workers: int, site: str, verb: str
) -> None:
    units = sorted({shard_of(code) for code in sites} | {REST})
    pids = list(range(workers))
    shares, start = [], 0
    for pid in pids:
        end = start + target(len(units), pids, pid)
        shares.append(share(units[start:end], sites, alone=False))
        start = end
    topic = f"spBv1.0/{site}/{verb}/G" + ("/D" if verb.startswith("D") else "")
    takers = [one for one in shares if one.takes(topic)]
    assert len(takers) == 1
    got = [sum(topic_matches_sub(asked, topic) for asked in one.subscriptions()) for one in shares]
    assert max(got) <= 1  # a broker may send a message once for each subscription
    if site in sites or verb != "DDATA":
        assert got[shares.index(takers[0])] == 1


def test_who_is_alone_takes_everything() -> None:
    everything = share([REST, shard_of("A")], ["A"], alone=True)
    assert everything.alone
    assert everything.takes("spBv1.0/NOBODY/DDATA/G/D")
    assert not share([REST], ["A"], alone=True).alone  # the other has gone, its locks are not ours yet
