"""Laws: writers share a dataset out, and none is lost or doubled when they are killed; the same in a bucket."""

import contextlib
import multiprocessing
import os
import random
import shutil
import signal
import time
from urllib.request import Request, urlopen

import numpy as np
import pytest
import tensorstore

from dexgen_jax.dataset import places, store
from dexgen_jax.hand import allegro

HAND = allegro.load()
LAYOUT = store.Layout(blocks=60, streams=2, rows=8)
# Forks of one process that has imported all: a writer starts in milliseconds.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__, "dexgen_jax.dataset.store"])


def block(number: int, layout: store.Layout = LAYOUT) -> dict[str, np.ndarray]:
    """What any writer makes of a block."""
    shape = (layout.streams, layout.rows)
    return {
        name: np.full((*shape, *column.shape), number % 199, column.dtype)
        for name, column in store.columns(HAND).items()
    }


def write_all(folder: str, layout: store.Layout = LAYOUT) -> None:
    """Makes blocks until there are none left; says in a file which it made."""
    writer = store.create(folder, HAND, layout, {})
    with open(f"{folder}.{os.getpid()}", "a", buffering=1) as made:
        for number in writer.claim():
            writer.write(number, block(number, layout))
            print(number, file=made)


def committed(folder) -> int:
    return len(list((folder / store.MARKERS).glob("[0-9]*.json")))


def check(folder, layout: store.Layout) -> None:
    dataset = store.open_dataset(folder, HAND)
    assert dataset.blocks == tuple(range(layout.blocks))
    for name in ("q", "flags", "privileged/touch"):
        read = dataset.read([name])[name]
        expected = np.concatenate([block(number, layout)[name] for number in range(layout.blocks)])
        np.testing.assert_array_equal(read, expected, err_msg=name)


def kill_often(folder, layout: store.Layout, kills: int) -> None:
    rng = random.Random(1)
    start = lambda: FORKS.Process(target=write_all, args=(str(folder), layout))
    writers = [start(), start()]
    for writer in writers:
        writer.start()
    for kill in range(kills):
        before = committed(folder)
        while committed(folder) < min(before + 3, layout.blocks):
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.02))
        victim = rng.randrange(2)
        if writers[victim].is_alive():
            os.kill(writers[victim].pid, signal.SIGKILL)
        writers[victim].join()
        assert committed(folder) < layout.blocks, f"all was done before kill {kill}: make more blocks"
        writers[victim] = start()
        writers[victim].start()
    for writer in writers:
        writer.join(100)
        assert writer.exitcode == 0
    check(folder, layout)


def test_two_writers_killed_again_and_again_leave_every_block_once(tmp_path):
    kill_often(tmp_path / "data", LAYOUT, kills=3)
    made = [line for path in tmp_path.glob("data.*") for line in path.read_text().split()]
    assert len(made) == len(set(made)), "a block was made twice"
    assert len(made) >= LAYOUT.blocks - 3  # a kill between commit and note leaves none


@pytest.mark.slow
def test_two_writers_killed_twenty_times(tmp_path):
    kill_often(tmp_path / "data", store.Layout(1500, 2, 8), kills=20)


def test_a_block_that_another_process_holds_is_waited_for_and_taken_over(tmp_path):
    layout = store.Layout(2, 1, 4)
    writer = store.create(tmp_path, HAND, layout, {})
    other = FORKS.Process(target=_hold_one, args=(str(tmp_path), layout))
    other.start()
    while not (tmp_path / "held").exists():
        time.sleep(0.01)
    claimed = writer.claim()
    assert next(claimed) == 1  # block 0 is the other's
    writer.write(1, block(1, layout))
    os.kill(other.pid, signal.SIGKILL)
    assert next(claimed) == 0
    writer.write(0, block(0, layout))
    assert list(claimed) == [] and store.open_dataset(tmp_path).blocks == (0, 1)


def _hold_one(folder: str, layout: store.Layout) -> None:
    next_block = store.create(folder, HAND, layout, {}).claim()
    number = next(next_block)
    open(os.path.join(folder, "held"), "w").write(str(number))
    time.sleep(60)


def test_a_lock_file_is_closed_by_its_last_user_and_no_sooner(tmp_path):
    """The kernel gives back all locks of a process in a file of which it closes one descriptor."""
    layout = store.Layout(2, 1, 4)
    claimed = store.create(tmp_path, HAND, layout, {}).claim()
    assert descriptors(tmp_path / ".writing") == 0
    assert next(claimed) == 0
    store.create(tmp_path, HAND, layout, {})  # by another object of this process
    assert descriptors(tmp_path / ".writing") == 1
    with FORKS.Pool(1) as others:
        assert [others.apply(_is_free, (tmp_path, number)) for number in range(2)] == [False, True]
        claimed.close()
        assert others.apply(_is_free, (tmp_path, 0)) and descriptors(tmp_path / ".writing") == 0


def descriptors(path) -> int:
    """How many of a file this process has."""
    found = 0
    for number in range(1024):
        with contextlib.suppress(OSError):
            found += os.path.samestat(os.fstat(number), path.stat())
    return found


def _is_free(folder, number: int) -> bool:
    with places.Folder(folder).hold(number) as free:
        return free


def test_blocks_made_elsewhere_are_merged_by_copying_their_files(tmp_path):
    layout = store.Layout(4, 2, 4)
    for place, numbers in (("here", (0, 2)), ("there", (1, 3))):
        writer = store.create(tmp_path / place, HAND, layout, {"seed": 1})
        for number in numbers:
            writer.write(number, block(number, layout))
    shutil.copytree(tmp_path / "there", tmp_path / "here", dirs_exist_ok=True)
    check(tmp_path / "here", layout)


def test_in_a_bucket_each_writer_has_its_own_blocks(monkeypatch, tmp_path):
    writer = store.create(tmp_path, HAND, store.Layout(5, 1, 4), {})
    assert list(writer.claim(1, 2)) == [1, 3, 0, 2, 4]  # in a folder: where to begin
    monkeypatch.setattr(store, "Folder", places.Bucket)
    assert list(writer.claim(1, 2)) == [1, 3] and list(writer.claim(0, 2)) == [0, 2, 4]
    with pytest.raises(ValueError, match="writer 2 of 2: writers are numbered from 0 to 1"):
        next(writer.claim(2, 2))


def test_an_address_that_names_no_bucket_is_refused():
    for address in ("s3://", "s3://bucket", "gs:///folder", "http://bucket/folder"):
        with pytest.raises(ValueError, match="it must be gs://BUCKET/FOLDER or s3://BUCKET/FOLDER"):
            places.at(address)
    assert str(places.at("gs://bucket/a/b/")) == "gs://bucket/a/b"


@pytest.mark.slow
def test_a_dataset_in_an_s3_bucket(monkeypatch):
    """The whole way through a server on this machine: made, written by two, merged by listing, read, refused."""
    moto = pytest.importorskip("moto.server", reason="pip install 'moto[server,s3]'")
    server = moto.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        address = f"http://{host}:{port}"
        keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        for name, value in {"AWS_ENDPOINT_URL": address, **keys}.items():
            monkeypatch.setenv(name, value)
        urlopen(Request(f"{address}/recordings", method="PUT")).read()
        layout = store.Layout(4, 2, 4)
        for number in range(2):
            writer = store.create("s3://recordings/hand", HAND, layout, {"seed": 1})
            for one in writer.claim(number, 2):
                writer.write(one, block(one, layout))
        check("s3://recordings/hand", layout)
        with pytest.raises(ValueError, match="its seed is 1, now it is 2"):
            store.create("s3://recordings/hand", HAND, layout, {"seed": 2})
        with pytest.raises(FileNotFoundError, match="no dataset in s3://recordings/other"):
            store.open_dataset("s3://recordings/other")
        place = places.at("s3://recordings/hand")
        del tensorstore.KvStore.open(place.kvstore("flags")).result()["c/2/0"]
        with pytest.raises(ValueError, match=r"s3://recordings/hand/flags/c/2/0 is damaged \(is missing\)"):
            store.open_dataset(place).read(["flags"])
    finally:
        server.stop()
