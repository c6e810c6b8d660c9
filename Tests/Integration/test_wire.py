"""Bytes that are no RESP, and requests that make no sense, over raw sockets: an error, and the next client is served."""

import socket

import pytest
import redis

# Bytes to send; how the reply must begin; whether the server closes.
WRONG = {
    "unknown command": (b"*1\r\n$4\r\nBLUB\r\n", b"-ERR unknown command", False),
    "no arguments": (b"*1\r\n$3\r\nROW\r\n", b"-ERR wrong number of arguments", False),
    "fid that is no number": (b"*3\r\n$3\r\nROW\r\n$9\r\nembedding\r\n$1\r\nx\r\n", b"-ERR ", False),
    "value that is not UTF-8": (b"*3\r\n$3\r\nROW\r\n$2\r\n\xff\xfe\r\n$1\r\n1\r\n", b"-ERR ", False),
    "protocol version 9": (b"*2\r\n$5\r\nHELLO\r\n$1\r\n9\r\n", b"-NOPROTO ", False),
    "array length that is no number": (b"*one\r\n", b"-ERR Protocol error", True),
    "length that is no number": (b"*2\r\n$3\r\nGET\r\n$zz\r\nab\r\n", b"-ERR Protocol error", True),
    "array of integers": (b"*1\r\n:5\r\n", b"-ERR Protocol error", True),
    "bulk without its line end": (b"*1\r\n$4\r\nPINGxx*1\r\n", b"-ERR Protocol error", True),
    "argument of a terabyte": (b"*2\r\n$4\r\nECHO\r\n$1099511627776\r\n", b"-TOOBIG ", True),
    "a million arguments": (b"*1000000\r\n", b"-TOOBIG ", True),
    "endless inline line": (b"x" * 200_000, b"-TOOBIG ", True),
    "TLS hello": (bytes.fromhex("16030100fa010000f60303") + bytes(300) + b"\r\n", b"-ERR unknown command", False),
    "quotes that do not end": (b'PING "abc\r\n', b"-ERR Protocol error", True),
}

ONLY = {
    "ps0": {
        "claim of no partition": (b"CLAIM -1\r\n", b"-ERR ", False),
        "pull of rubbish": (b"*2\r\n$4\r\nPULL\r\n$5\r\n\x09\x00\xff\x01\x02\r\n", b"-ERR ", False),
        "push of nobody": (
            b"*6\r\n$4\r\nPUSH\r\n$1\r\n0\r\n$3\r\n999\r\n$1\r\n0\r\n$1\r\n1\r\n$1\r\n\x01\r\n", b"-FENCED ", False),
        "sync of rubbish": (b"*2\r\n$4\r\nSYNC\r\n$3\r\n\x01\x02\x03\r\n", b"-ERR ", False),
    },
    "serve": {
        "unknown field": (b"SCORE movielens colour=red\r\n", b"-ERR ", False),
        "unknown model": (b"SCORE other user_id=1\r\n", b"-ERR ", False),
        "no candidates": (b"SCORE movielens user_id=1 CANDIDATES item_id\r\n", b"-ERR ", False),
        "top zero": (b"RECOMMEND movielens user_id=1 TOPK 0\r\n", b"-ERR ", False),
        "JSON that is none": (b"*3\r\n$9\r\nSCOREJSON\r\n$9\r\nmovielens\r\n$5\r\n{\"a\":\r\n", b"-ERR ", False),
        "user who is no number": (b"SCORE movielens user_id=me item_id=1\r\n", b"-ERR ", False),
    },
}

CASES = [(role, case, *WRONG[case]) for role in ("ps0", "serve") for case in WRONG] + [
    (role, case, *rest) for role in ONLY for case, rest in ONLY[role].items()]


def ask(port, request, closes):
    """What the server says to `request`, up to the end of the connection or of the first line."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.settimeout(10)
        try:
            connection.sendall(request)
        except (BrokenPipeError, ConnectionResetError):
            pass  # It may close before it has read everything.
        reply = b""
        while closes or b"\r\n" not in reply:
            try:
                part = connection.recv(65536)
            except ConnectionResetError:
                break
            if not part:
                break
            reply += part
        if not closes:
            connection.sendall(b"*1\r\n$4\r\nPING\r\n")
            assert connection.recv(100) == b"+PONG\r\n", "the connection goes on"
        return reply


@pytest.mark.parametrize("role, case, request_bytes, expected, closes", CASES, ids=[f"{c[0]}-{c[1]}" for c in CASES])
def test_wrong_requests_get_an_error_and_the_next_client_is_served(
        trained_cluster, role, case, request_bytes, expected, closes):
    port = trained_cluster.port(role)
    process = trained_cluster.processes[role]
    reply = ask(port, request_bytes, closes)
    assert reply.startswith(expected), reply[:200]
    assert ask(port, b"*1\r\n$4\r\nPING\r\n", False) == b"+PONG\r\n"
    assert process.is_running


def test_half_a_request_and_a_vanished_client_disturb_nobody(trained_cluster):
    for role in ("ps0", "serve"):
        port = trained_cluster.port(role)
        for half in (b"*3\r\n$3\r\nROW\r\n$9\r\nembe", b"*", b"PIN"):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.sendall(half)
        assert ask(port, b"*1\r\n$4\r\nPING\r\n", False) == b"+PONG\r\n"


def test_the_status_ports_refuse_what_they_do_not_know(trained_cluster):
    for role in ("trainer0", "joiner0"):
        assert ask(trained_cluster.port(role), b"SCORE movielens user_id=1\r\n", False).startswith(b"-ERR unknown command")


def test_a_server_without_the_shard_says_where_it_is_as_redis_clients_expect_it(trained_cluster):
    moved = 0
    with trained_cluster.client("ps0") as client:
        for fid in range(32):
            try:
                client.execute_command("ROW", "embedding", fid)
            except redis.exceptions.MovedError as error:
                moved += 1
                assert (error.host, error.port) == ("127.0.0.1", trained_cluster.port("ps1"))
                assert error.slot_id % 2 == 1, "shards of odd numbers are on server 1"
                with redis.Redis(host=error.host, port=error.port, decode_responses=True) as there:
                    there.execute_command("ROW", "embedding", fid)
    assert 0 < moved < 32
