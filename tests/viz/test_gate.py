"""A real gate before a server of the test's own, on this machine."""

import socket
import threading

import pytest

from dexgen_jax.viz.gate import Gate

TOKEN = "a secret of some length"


@pytest.fixture
def echo():
    """A server that says back, in capitals, whatever it hears; its port, and what it heard."""
    listening, heard = socket.create_server(("127.0.0.1", 0)), []

    def serve():
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                while data := connection.recv(4096):
                    heard.append(data)
                    connection.sendall(data.upper())

    threading.Thread(target=serve, daemon=True).start()
    yield listening.getsockname()[1], heard
    listening.close()


@pytest.fixture
def gate(echo):
    gate = Gate("127.0.0.1", 0, TOKEN, echo[0])
    yield gate
    gate.close()


def ask(gate, line, *fields):
    """The beginning of the answer to a request, and the open connection."""
    connection = socket.create_connection(("127.0.0.1", gate.port), timeout=5)
    connection.sendall("\r\n".join((line, *fields, "", "")).encode())
    return connection.recv(4096).decode(), connection


def enter(gate):
    """The cookie that the token gives."""
    answer, _ = ask(gate, f"GET /?token={TOKEN.replace(' ', '+')} HTTP/1.1")
    assert answer.startswith("HTTP/1.1 303") and "HttpOnly; SameSite=Strict" in answer and TOKEN not in answer
    return answer.split("Set-Cookie: ")[1].split(";")[0]


def test_the_token_opens_the_door_and_all_that_follows_goes_through(gate):
    answer, connection = ask(gate, "get / http/1.1", f"cookie: other=1; {enter(gate)}")
    assert answer.startswith("GET / HTTP/1.1")  # this is the echo behind the door
    connection.sendall(b"and then a web socket")
    assert connection.recv(4096) == b"AND THEN A WEB SOCKET"


@pytest.mark.parametrize(
    "line, field",
    [
        ("GET / HTTP/1.1", "Host: here"),
        ("GET / HTTP/1.1", "Cookie: dexgen_viewer=0"),
        ("GET /?token=a+secret+of+some+lengtH HTTP/1.1", "Host: here"),
        ("GET /?token= HTTP/1.1", "Host: here"),
        ("GET / HTTP/1.1", "Cookie: \x00;;;=\xff"),
        ("nonsense", "Host"),
        ("GET / HTTP/1.1", f"Cookie: dexgen_viewer={TOKEN}"),
    ],
)
def test_without_it_nothing_gets_through(gate, echo, line, field):
    answer, _ = ask(gate, line, field)
    assert answer.startswith("HTTP/1.1 403") and "the token is missing or wrong" in answer
    assert not echo[1]


def test_a_wrong_token_is_refused_even_with_the_right_cookie(gate):
    answer, _ = ask(gate, "GET /?token=wrong HTTP/1.1", f"Cookie: {enter(gate)}")
    assert answer.startswith("HTTP/1.1 403")


def test_an_endless_head_is_hung_up_on(gate, echo):
    with socket.create_connection(("127.0.0.1", gate.port), timeout=5) as connection:
        connection.sendall(b"x" * 40_000)
        try:
            assert connection.recv(10) == b""
        except ConnectionResetError:
            pass
    assert not echo[1]
    enter(gate)  # and the gate lives on


def test_a_port_that_is_taken_is_named(gate):
    with pytest.raises(OSError, match=rf"cannot listen on 127\.0\.0\.1:{gate.port}"):
        Gate("127.0.0.1", gate.port, TOKEN, 1)
