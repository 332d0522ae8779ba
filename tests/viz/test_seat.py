from dexgen_jax.viz.seat import Seat


def test_the_first_has_the_command_and_the_others_watch():
    seat = Seat()
    assert seat.come(7) and not seat.come(8) and not seat.come(9)
    assert (seat.holder, seat.watching) == (7, 3)
    assert seat.come(7) and seat.watching == 3  # a client that says it is there twice is one


def test_who_leaves_is_followed_by_the_one_who_waits_longest():
    seat = Seat()
    for client in (7, 8, 9):
        seat.come(client)
    assert not seat.go(8)  # a watcher had nothing to give
    assert seat.go(7) and seat.holder == 9
    assert seat.go(9) and seat.holder is None
    assert not seat.go(9)
    assert seat.come(3)


def test_the_command_is_passed_on_in_turn():
    seat = Seat()
    for client in (7, 8, 9):
        seat.come(client)
    assert not seat.pass_on(8)  # only who has it
    turns = []
    for _ in range(4):
        seat.pass_on(seat.holder)
        turns.append(seat.holder)
    assert turns == [8, 9, 7, 8]
    alone = Seat()
    alone.come(1)
    assert not alone.pass_on(1) and alone.holder == 1
