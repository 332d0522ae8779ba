import numpy as np
import pytest

from dexgen_jax.viz.account import Account


def add(account, asked, done, kind="helped", dropped=False, reached=False):
    account.add(kind, np.asarray(asked, float), np.asarray(done, float), 0.0, dropped, reached)


def test_hold_time_is_seconds_per_drop():
    account = Account(("helped", "alone"), 0.1)
    for i in range(30):
        add(account, [0, 0], [0, 0], "alone", dropped=i in (9, 29), reached=i == 5)
    tally = account.tallies["alone"]
    assert (tally.drops, tally.goals, tally.hold_time) == (2, 1, pytest.approx(1.5))
    assert account.tallies["helped"].hold_time == np.inf


def test_the_share_of_the_command_that_is_kept():
    """Asked (1, 0) and (0, 2), done (0.5, 5) and (0, 1): (0.5 + 2) / (1 + 4) = 0.5; what is across does not count."""
    account = Account(("helped",), 0.1)
    assert np.isnan(account.kept)
    add(account, [1, 0], [0.5, 5])
    add(account, [0, 2], [0, 1])
    assert account.kept == pytest.approx(0.5)
    for _ in range(30):  # 3 s later those are forgotten
        add(account, [1, 0], [-1, 0])
    assert account.kept == pytest.approx(-1.0)
    account.begin()
    assert np.isnan(account.kept) and account.held == 0


def test_plots_show_the_last_thirty_seconds():
    account = Account(("helped",), 0.1)
    for _ in range(450):
        add(account, [0.3, 0.4], [0, 0])
    assert len(account.samples) == 300
    assert account.samples[0].time == pytest.approx(15.1) and account.samples[-1].time == pytest.approx(45.0)
    assert account.samples[-1].asked == pytest.approx(np.sqrt(0.125))
    assert account.longest == pytest.approx(45.0)
    account.clear()
    assert not account.samples and account.time == 0 and account.tallies["helped"].seconds == 0
