"""Laws: shards hold every window once, and what streams through is the same from wherever reading goes on."""

import fake_streams
import jax
import numpy as np
import pytest

from dexgen_jax.dataset import store, stream, windows
from dexgen_jax.hand import allegro

CUT = stream.Cut(history=4, horizon=2, drop_rows=5)
HERE = jax.sharding.SingleDeviceSharding(jax.devices("cpu")[0])
ROWS, SHARDS = 20, 2
PIECE = SHARDS * (ROWS * 65 + (ROWS - 5) * 12)  # bytes of a stream in each shard: columns, lists of its windows
COMMITTED = (0, 2, 3, 4, 5, 6, 7)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Blocks of two streams, in which each has its number as its mode; block 1 is not committed yet."""
    folder = tmp_path_factory.mktemp("streams")
    writer = store.create(folder, allegro.load(), store.Layout(8, 2, ROWS), {})
    for block in COMMITTED:
        columns = fake_streams.columns(2, ROWS, seed=block)
        columns["mode"] += 2 * np.uint8(block) + np.arange(2, dtype=np.uint8)[:, None]
        columns["flags"][1, 12] |= store.DROP
        writer.write(block, columns)
    return store.open_dataset(folder)


def feed(dataset, budget, seed=0, per_round=30):
    pieces = stream.deal(dataset, dataset.blocks, [5, 14], SHARDS)
    return stream.Feed(dataset, pieces, CUT, HERE, budget, per_round, seed)


def drawn_from(recording, shard):
    """The streams' numbers and the rows of all windows of a shard."""
    mode = np.asarray(recording.mode[shard])
    found = np.asarray(recording.index[shard, : recording.count[shard]])
    return {(int(mode.flat[at]), int(at % mode.shape[1])) for at in found}


def test_pieces_divide_blocks_and_small_datasets_are_cut_finer():
    assert stream.piece_length(streams=128, blocks=8, shards=8) == 16
    assert stream.piece_length(streams=24, blocks=10, shards=8) == 6  # 40 pieces; of 12 streams only 20
    assert stream.piece_length(streams=8, blocks=1, shards=8) == 1


def test_all_that_fits_is_there_once_and_nothing_that_is_held_out(dataset):
    whole = feed(dataset, 1e9)
    recording = whole.at(0)
    assert whole.resident and whole.at(7) is recording
    found = [drawn_from(recording, shard) for shard in range(SHARDS)]
    columns = dataset.read(["flags", "mode"])
    valid = windows.valid_index(columns["flags"], CUT.history, CUT.horizon, CUT.drop_rows)
    expected = {(int(columns["mode"].flat[at]), int(at % columns["mode"].shape[1])) for at in valid}
    assert found[0] | found[1] == {pair for pair in expected if pair[0] not in (5, 14)}
    assert not found[0] & found[1] and int(recording.count.sum()) == len(found[0]) + len(found[1])
    # Streams are dealt out in turn: shard 0 has 0, 4, ...: block 1, streams 2 and 3, is not there.
    assert np.asarray(recording.mode)[:, :3, 0].tolist() == [[0, 4, 6], [1, 5, 7]]
    np.testing.assert_array_equal(recording.q[1, 2], dataset.read(["q"])["q"][5])


def test_a_set_that_does_not_fit_streams_through_and_can_be_read_on_from_any_round(dataset):
    budget = 5.5 * PIECE  # two streams beside three on their way; a shard has seven
    going = feed(dataset, budget, seed=3)
    assert not going.resident and (going.capacity, going.turnover) == (2, 1)
    rounds = [jax.device_get(going.at(number)) for number in range(9)]
    jumped = jax.device_get(feed(dataset, budget, seed=3).at(8))
    jax.tree.map(np.testing.assert_array_equal, rounds[8], jumped)
    resident = jax.device_get(feed(dataset, 1e9).at(0))
    for shard in range(SHARDS):
        seen = [drawn_from(recording, shard) for recording in rounds]
        assert seen[0] != seen[1]
        # Round r holds the places r and r + 1 of the order, so the first six rounds hold a whole pass.
        assert set().union(*seen[:6]) == drawn_from(resident, shard)


def test_a_process_reads_only_the_pieces_of_its_own_shards(dataset, monkeypatch):
    class Second(jax.sharding.SingleDeviceSharding):
        """Where the second of two processes has its shards."""

        def addressable_devices_indices_map(self, shape):
            return {"device": (slice(shape[0] // 2, shape[0]),)}

    pieces = stream.deal(dataset, dataset.blocks, [], SHARDS)
    own = stream.Feed(dataset, pieces, CUT, Second(jax.devices()[0]), 1e9, 60)
    asked, read = [], store.Dataset.read
    note = lambda self, names, part: asked.append(part.start) or read(self, names, part)
    monkeypatch.setattr(store.Dataset, "read", note)
    for position in range(len(pieces[1])):
        own._read(position)
    assert asked == [piece.start for piece in pieces[1]] and not set(asked) & {piece.start for piece in pieces[0]}


def test_a_budget_and_a_set_that_are_too_small_are_refused(dataset):
    with pytest.raises(ValueError, match=r"memory budget of .* GB holds too little of .*: these settings need .* GB"):
        feed(dataset, 4 * PIECE)
    with pytest.raises(ValueError, match="14 streams of .*, 0 of them held out, are too few for 15 shards"):
        stream.deal(dataset, dataset.blocks, [], 15)
    with pytest.raises(ValueError, match="no window of 26 rows fits shard 0 of .* record longer"):
        stream.Feed(dataset, stream.deal(dataset, [0], [], 2), stream.Cut(4, 22, 5), HERE, 1e9, 60).at(0)
