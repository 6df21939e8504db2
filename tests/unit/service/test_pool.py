"""The threads of `def` functions."""

from __future__ import annotations

import threading

import pytest

from rtcrpc.service.pool import Pool

BOUND = 10.0


def test_threads_start_as_needed_and_are_used_again() -> None:
    pool = Pool(4, "used-again")
    names: list[str] = []
    for _ in range(20):
        done = threading.Event()
        pool.submit(lambda: names.append(threading.current_thread().name))
        pool.submit(done.set)
        assert done.wait(BOUND)
    assert len(set(names)) <= 4
    pool.close()


def test_at_most_size_run_at_once_and_all_get_their_turn() -> None:
    pool = Pool(3)
    lock, release, full = threading.Lock(), threading.Event(), threading.Event()
    running, most, done = 0, 0, 0
    all_done = threading.Event()

    def work() -> None:
        nonlocal running, most, done
        with lock:
            running += 1
            most = max(most, running)
            if running == 3:
                full.set()
        release.wait(BOUND)
        with lock:
            running -= 1
            done += 1
            if done == 30:
                all_done.set()

    for _ in range(30):
        pool.submit(work)
    assert full.wait(BOUND)
    release.set()
    assert all_done.wait(BOUND)
    assert most == 3
    pool.close()


def test_a_function_that_hangs_leaves_the_others_their_threads() -> None:
    pool = Pool(2)
    release, started = threading.Event(), threading.Event()

    def hang() -> None:
        started.set()
        release.wait(BOUND)

    pool.submit(hang)
    assert started.wait(BOUND)
    for _ in range(10):
        done = threading.Event()
        pool.submit(done.set)
        assert done.wait(BOUND)
    release.set()
    pool.close()


def test_a_thread_outlives_what_it_runs(caplog: pytest.LogCaptureFixture) -> None:
    pool = Pool(1)

    def fail() -> None:
        raise SystemExit(3)

    done = threading.Event()
    pool.submit(fail)
    pool.submit(done.set)
    assert done.wait(BOUND)
    assert "failed in the pool" in caplog.text
    pool.close()


def test_close_drops_what_has_not_begun() -> None:
    pool = Pool(1, "closing-pool")
    release, started = threading.Event(), threading.Event()
    seen: list[int] = []

    def hang() -> None:
        started.set()
        release.wait(BOUND)

    pool.submit(hang)
    assert started.wait(BOUND)
    pool.submit(seen.append, 1)
    pool.close()
    pool.close()
    release.set()
    for thread in threading.enumerate():
        if thread.name.startswith("closing-pool"):
            thread.join(BOUND)
    assert seen == []
    assert not [t for t in threading.enumerate() if t.name.startswith("closing-pool")]
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(print)


def test_sizes() -> None:
    assert 1 <= Pool().size <= 32
    with pytest.raises(ValueError, match="at least one"):
        Pool(0)
