import msgpack
import numpy as np
import pytest

from dexgen_jax.deploy import messages


def test_what_is_packed_comes_back():
    sent = {"q": np.arange(6, dtype=np.float32).reshape(2, 3), "mode": "default", "id": 7, "released": False, "x": None}
    got = messages.decode(messages.encode(sent))
    assert got == {**sent, "q": [[0, 1, 2], [3, 4, 5]]}
    np.testing.assert_array_equal(messages.array(got, "q", (2, 3)), sent["q"])


def test_float32_survives_bit_for_bit():
    sent = (np.random.default_rng(0).standard_normal(16) * 10.0 ** np.arange(-8, 8)).astype(np.float32)
    got = messages.array(messages.decode(messages.encode({"q": sent})), "q", (16,))
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, sent)


@pytest.mark.parametrize(
    "payload, words",
    [
        (b"", "not msgpack"),
        (b"\xc1", "not msgpack"),
        (b"\x81\xa1q", "not msgpack"),  # cut short
        (msgpack.packb({}) + b"x", "not msgpack"),  # more than one message
        (b"\xdd\xff\xff\xff\xff", "not msgpack"),  # promises 4 billion items
        (b"\x91" * 10_000, "not msgpack"),  # nested 10,000 deep
        (msgpack.packb({"q": b"raw"}), "not msgpack"),
        (msgpack.packb({"q": msgpack.ExtType(5, b"x")}), "not msgpack"),
        (b"\x81\xa1q\xd6\xff\x00\x00\x00\x00", "not msgpack"),  # a time stamp
        (b"\x81\xa1\xff\x01", "not msgpack"),  # a key that is no UTF-8
        (msgpack.packb([1, 2]), "map with text keys, got a list"),
        (msgpack.packb(3.0), "got a float"),
        (msgpack.packb({"q": 1}) + bytes(messages.LARGEST), f"and the limit is {messages.LARGEST}"),
    ],
)
def test_what_is_not_a_map_of_plain_values_is_refused(payload, words):
    with pytest.raises(ValueError, match=words):
        messages.decode(payload)


def test_numbers_that_are_wrong_are_for_the_tick_to_judge():
    got = messages.array({"q": [float("nan"), -float("inf"), 1e39, 7]}, "q", (4,))
    np.testing.assert_array_equal(got, np.float32([np.nan, -np.inf, np.inf, 7]))


def test_what_cannot_be_sent_is_not():
    for value in (1j, np.array([1j]), object(), np.datetime64("2026-01-01"), 2**64, [-(2**64)]):
        with pytest.raises(ValueError, match="only numbers, text, flags and lists of them can be sent"):
            messages.encode({"q": value})


@pytest.mark.parametrize(
    "value, words",
    [
        (None, "q must be 2 x 3 numbers, got a NoneType where 2 belong"),
        ("six", "got a str"),
        ([[1, 2, 3]], "got a list of 1 where 2 belong"),
        ([[1, 2, 3], [4, 5]], "got a list of 2 where 3 belong"),
        ([1, 2], "got a int where 3 belong"),
        ([[1, 2, 3], [4, 5, [6]]], "must hold numbers, got a list"),
        ([[1, 2, 3], [4, 5, "6"]], "must hold numbers, got '6'"),
        ([[1, 2, 3], [4, 5, True]], "must hold numbers, got True"),
    ],
)
def test_an_array_of_anything_else_is_refused_by_name(value, words):
    with pytest.raises(ValueError, match=words):
        messages.array({"q": value}, "q", (2, 3))


def test_errors_name_field_limit_and_choices():
    with pytest.raises(ValueError, match="field q is missing"):
        messages.array({}, "q", (2,))
    with pytest.raises(ValueError, match="strength must hold numbers, got a list"):
        messages.array({"strength": [1.0]}, "strength", ())
    with pytest.raises(ValueError, match="mode must be one of a, b, got 'c'"):
        messages.text({"mode": "c"}, "mode", ("a", "b"))
    with pytest.raises(ValueError, match="mode must be one of a, b, got a list"):
        messages.text({"mode": ["a"]}, "mode", ("a", "b"))
    with pytest.raises(ValueError, match="released must be true or false, got 1"):
        messages.flag({"released": 1}, "released")
    with pytest.raises(ValueError, match="unknown field 'strenght'; a request of this kind has q, strength"):
        messages.refuse_unknown({"q": 1, "strenght": 2}, ("q", "strength"))
    with pytest.raises(ValueError, match=r"got '" + "x" * 39 + r"\.\.\.$"):
        messages.text({"mode": "x" * 9000}, "mode", ("a",))
