"""HTTP beside RESP: the same scores to the last bit, clear errors, and bounds."""

import base64
import http.client
import json
import signal
import socket
import struct

import pytest

import http_client
from http_client import get, post
from waiting import wait_until

USER = 1
ITEMS = [1, 3, 6, 47, 50, 1193, 661, 914, 999_999_999]
MODEL = "/v2/models/movielens"
INFER = MODEL + "/infer"
PREDICT = "/v1/models/movielens:predict"


@pytest.fixture(scope="module")
def port(trained_cluster):
    return trained_cluster.http_ports["serve"]


def bits(score):
    return struct.pack("<d", score)


def tensor(name, data, datatype="INT64", shape=None):
    return {"name": name, "datatype": datatype, "shape": shape or [len(data)], "data": data}


def infer(port, inputs, **more):
    reply = post(port, INFER, {"inputs": inputs, **more})
    assert reply.status == 200, reply
    return reply.json


# MARK: - Scores

def all_scores(cluster, context, items):
    """The same rows asked for in every way that there is; way → scores."""
    port = cluster.http_ports["serve"]
    fields = [f"{name}={value}" for name, value in context.items()]
    words = ["SCORE", "movielens", *fields, "CANDIDATES", "item_id", *items]
    text = json.dumps({"context": context, "candidates": [{"item_id": item} for item in items]})
    count = len(items)
    datatypes = {name: "INT64" if isinstance(value, int) else "BYTES" for name, value in context.items()}
    every_row = [tensor(name, [value] * count, datatypes[name]) for name, value in context.items()]
    for_all = [tensor(name, [value], datatypes[name]) for name, value in context.items()]
    column = tensor("item_id", items, shape=[count, 1])
    nested = tensor("item_id", [[item] for item in items], shape=[count, 1])
    as_text = tensor("item_id", [str(item) for item in items], "BYTES")
    rows = [{**context, "item_id": item} for item in items]
    wrapped = [{name: [value] for name, value in row.items()} for row in rows]
    ways = {}
    for protocol in (2, 3):
        with cluster.client(protocol=protocol) as client:
            ways[f"SCORE, RESP{protocol}"] = [float(score) for score in client.execute_command(*words)]
            ways[f"SCOREJSON, RESP{protocol}"] = [
                float(score) for score in client.execute_command("SCOREJSON", "movielens", text)]
    for name, inputs in {
        "tensors of all rows": [*every_row, column], "tensors for all rows": [*for_all, column],
        "nested tensors": [*for_all, nested], "tensors of text": [*for_all, as_text],
    }.items():
        [output] = infer(port, inputs)["outputs"]
        assert (output["name"], output["datatype"], output["shape"]) == ("like", "FP64", [count])
        ways[name] = output["data"]
    ways["instances"] = post(port, PREDICT, {"instances": rows}).json["predictions"]
    ways["wrapped instances"] = post(port, PREDICT, {"instances": wrapped}).json["predictions"]
    columns = {name: [value] * count for name, value in context.items()} | {"item_id": items}
    ways["columns"] = post(port, PREDICT, {"inputs": columns}).json["outputs"]
    ways["columns for all rows"] = post(port, PREDICT, {"inputs": {**context, "item_id": items}}).json["outputs"]
    return ways


@pytest.mark.parametrize("context", [
    {"user_id": USER}, {"user_id": 123_456_789}, {"user_id": 4, "gender": "F", "age": 25, "zip": "48067"}, {},
], ids=["known user", "unknown user", "all kinds of fields", "nobody"])
@pytest.mark.parametrize("items", [ITEMS, ITEMS[:1]], ids=["many", "one"])
def test_every_protocol_gives_the_same_scores_to_the_last_bit(trained_cluster, context, items):
    ways = all_scores(trained_cluster, context, items)
    assert len(ways) == 12
    reference = ways["SCORE, RESP3"]
    assert len(reference) == len(items) and all(0 < score < 1 for score in reference)
    for way, scores in ways.items():
        assert list(map(bits, scores)) == list(map(bits, reference)), way


def test_several_serving_threads_give_the_same_scores(make_cluster):
    cluster = make_cluster(settings={"serve.threads": 3})
    cluster.start_all(trainers=1)
    cluster.replay("--limit", 1_000)
    cluster.expect_exactly(1_000)
    cluster.wait_until_ready()
    # What the servers have learned, the replica has as well: its scores do not change any more.
    ends = {partition: offset for (_, partition), offset in cluster.watermarks().items()}
    wait_until(
        lambda: all(cluster.info("serve").get(f"partition_{partition}") == end for partition, end in ends.items()),
        "the replica has everything that was learned")
    answers = [all_scores(cluster, {"user_id": USER}, ITEMS) for _ in range(4)]
    assert len({tuple(scores) for ways in answers for scores in ways.values()}) == 1
    asked = [int(value) for key, value in cluster.info("serve").items() if key.startswith("thread_")]
    assert len(asked) == 3 and all(asked), "HTTP takes the threads in turn"


def test_fields_of_the_item_stand_above_the_catalog_in_every_protocol(trained_cluster, port):
    with trained_cluster.client(protocol=3) as client:
        plain = client.execute_command("SCORE", "movielens", f"user_id={USER}", "item_id=661")
        reference = client.execute_command(
            "SCORE", "movielens", f"user_id={USER}", "item_id=661", "genres=Drama", "genres=War", "year=1950")
    assert plain != reference
    inputs = [
        tensor("user_id", [USER]), tensor("item_id", [661]), tensor("genres", ["Drama|War"], "BYTES"),
        tensor("year", [1950], "INT32")]
    assert infer(port, inputs)["outputs"][0]["data"] == [reference]
    row = {"user_id": USER, "item_id": 661, "genres": ["Drama", "War"], "year": 1950}
    assert post(port, PREDICT, {"instances": [row]}).json == {"predictions": [reference]}
    columns = {"user_id": [USER], "item_id": [661], "genres": [["Drama", "War"]], "year": [1950]}
    assert post(port, PREDICT, {"inputs": columns}).json == {"outputs": [reference]}


def test_an_inference_answers_with_what_was_asked_for(port):
    inputs = [tensor("user_id", [USER]), tensor("item_id", [1])]
    reply = infer(port, inputs, id="4 2", outputs=[{"name": "like", "parameters": {"binary_data": False}}])
    assert (reply["id"], reply["model_name"], reply["model_version"]) == ("4 2", "movielens", "1")
    versioned = post(port, MODEL + "/versions/1/infer", {"inputs": inputs})
    assert versioned.json["outputs"] == reply["outputs"]
    of_task = post(port, "/v2/models/movielens:like/infer", {"inputs": inputs})
    assert of_task.json["outputs"] == reply["outputs"] and of_task.json["model_name"] == "movielens:like"
    escaped = post(port, "/v2/models/movielens%3Alike/infer", {"inputs": inputs})
    assert escaped.json == of_task.json


def test_no_rows_have_no_scores(port):
    assert infer(port, [tensor("item_id", [], shape=[0])])["outputs"][0]["data"] == []
    assert post(port, PREDICT, {"instances": []}).json == {"predictions": []}


def test_recommendations_are_those_of_recommend(trained_cluster, port):
    with trained_cluster.client(protocol=3) as client:
        flat = client.execute_command("RECOMMEND", "movielens", f"user_id={USER}", "TOPK", 12)
    expected = [{"id": id_, "score": score} for id_, score in zip(flat[0::2], flat[1::2])]
    by_query = get(port, f"/v1/recommend/movielens?user_id={USER}&topk=12")
    assert by_query.status == 200, by_query
    assert by_query.json == {"model": "movielens", "task": "like", "items": expected}
    body = {"context": {"user_id": USER}, "topk": 12}
    assert post(port, "/v1/recommend/movielens", body).json == by_query.json
    first, second = expected[0]["id"], expected[1]["id"]
    rest = post(port, "/v1/recommend/movielens", {**body, "exclude": [int(first), second], "topk": 10}).json["items"]
    assert rest == expected[2:]
    assert get(port, f"/v1/recommend/movielens?user_id={USER}&exclude={first}&exclude={second}").json["items"] == rest


def test_recommendations_are_filtered_as_recommend_filters_them(trained_cluster, port):
    with trained_cluster.client(protocol=3) as client:
        flat = client.execute_command(
            "RECOMMEND", "movielens", f"user_id={USER}", "TOPK", 5, "WHERE", "genres=Comedy", "genres=War", "year=1990")
    expected = [{"id": id_, "score": score} for id_, score in zip(flat[0::2], flat[1::2])]
    assert expected
    filters = "where.genres=Comedy&where.genres=War&where.year=1990"
    assert get(port, f"/v1/recommend/movielens?user_id={USER}&topk=5&{filters}").json["items"] == expected
    body = {"context": {"user_id": USER}, "topk": 5, "where": {"genres": ["Comedy", "War"], "year": 1990}}
    assert post(port, "/v1/recommend/movielens", body).json["items"] == expected


# MARK: - Errors

COUNT = 10_001
MANY = {"instances": [{"item_id": 1}] * COUNT}
ONE = {"inputs": [tensor("item_id", [1])]}


def inputs(*tensors):
    return {"inputs": list(tensors)}


WRONG = {
    "no such path": ("GET", "/v3", None, 404, "NOTFOUND", "/openapi.json"),
    "root": ("GET", "/", None, 404, "NOTFOUND", "/openapi.json"),
    "bad escape": ("GET", "/v2/models/%zz", None, 400, "ERR", "%zz"),
    "escape that is no UTF-8": ("GET", "/v2/models/%ff", None, 400, "ERR", "%ff"),
    "no such model": ("POST", "/v2/models/other/infer", ONE, 404, "NOTFOUND", "movielens"),
    "no such task": ("POST", "/v2/models/movielens:buy/infer", ONE, 404, "NOTFOUND", "like"),
    "no such version": ("GET", MODEL + "/versions/2", None, 404, "NOTFOUND", "version"),
    "no such model to predict": ("POST", "/v1/models/other:predict", {"instances": []}, 404, "NOTFOUND", "movielens"),
    "no such model to recommend": ("GET", "/v1/recommend/other", None, 404, "NOTFOUND", "movielens"),
    "get of infer": ("GET", INFER, None, 405, "METHOD", "POST"),
    "delete of a model": ("DELETE", MODEL, None, 405, "METHOD", "GET"),
    "put of recommend": ("PUT", "/v1/recommend/movielens", {}, 405, "METHOD", "POST"),
    "post of metrics": ("POST", "/metrics", {}, 405, "METHOD", "GET"),
    "empty body": ("POST", INFER, b"", 400, "ERR", "empty"),
    "no JSON": ("POST", INFER, b"{", 400, "ERR", "malformed"),
    "no UTF-8": ("POST", INFER, b'{"id":"\xff"}', 400, "ERR", "malformed"),
    "no object": ("POST", INFER, [1], 400, "ERR", "object"),
    "deep JSON": ("POST", INFER, b"[" * 100 + b"]" * 100, 413, "TOOBIG", "deep"),
    "no inputs": ("POST", INFER, {}, 400, "ERR", "inputs"),
    "unknown member": ("POST", INFER, {"input": []}, 400, "ERR", "`input`"),
    "unknown field": ("POST", INFER, inputs(tensor("colour", [1])), 400, "ERR", "user_id"),
    "unknown output": ("POST", INFER, {**ONE, "outputs": [{"name": "buy"}]}, 400, "ERR", "like"),
    "id that is no text": ("POST", INFER, {**ONE, "id": 42}, 400, "ERR", "`id`"),
    "the same input twice": ("POST", INFER, inputs(*ONE["inputs"] * 2), 400, "ERR", "twice"),
    "columns of different lengths": (
        "POST", INFER, inputs(tensor("item_id", [1, 2]), tensor("age", [1, 2, 3])), 400, "ERR", "`age`"),
    "matrix": ("POST", INFER, inputs(tensor("item_id", [1, 2], shape=[1, 2])), 400, "ERR", "[1,2]"),
    "negative shape": ("POST", INFER, inputs(tensor("item_id", [1], shape=[-1])), 400, "ERR", "[-1]"),
    "huge shape": ("POST", INFER, inputs(tensor("item_id", [1], shape=[1 << 60])), 400, "ERR", "shape"),
    "shape beyond the data": ("POST", INFER, inputs(tensor("item_id", [1], shape=[2])), 400, "ERR", "shape says 2"),
    "unknown datatype": ("POST", INFER, inputs(tensor("item_id", [True], "BOOL")), 400, "ERR", "BYTES"),
    "value beyond its datatype": ("POST", INFER, inputs(tensor("item_id", [1, 300], "UINT8")), 400, "ERR", "300"),
    "text as a number": ("POST", INFER, inputs(tensor("item_id", ["1"])), 400, "ERR", "INT64"),
    "null as a number": ("POST", INFER, inputs(tensor("item_id", [None])), 400, "ERR", "INT64"),
    "user who is no number": ("POST", INFER, inputs(tensor("user_id", ["me"], "BYTES")), 400, "ERR", "user_id"),
    "number for text": ("POST", INFER, inputs(tensor("gender", [1])), 400, "ERR", "gender"),
    "binary tensor": (
        "POST", INFER, inputs({"name": "item_id", "shape": [1], "datatype": "INT64", "parameters": {"binary_data_size": 8}}),
        415, "UNSUPPORTED", "JSON"),
    "binary outputs": ("POST", INFER, {**ONE, "parameters": {"binary_data_output": True}}, 415, "UNSUPPORTED", "binary"),
    "neither rows nor columns": ("POST", PREDICT, {}, 400, "ERR", "instances"),
    "rows and columns": ("POST", PREDICT, {"instances": [], "inputs": {}}, 400, "ERR", "one of them"),
    "row that is no object": ("POST", PREDICT, {"instances": [{}, 7]}, 400, "ERR", "instance 1"),
    "row with an unknown field": ("POST", PREDICT, {"instances": [{"colour": 1}]}, 400, "ERR", "colour"),
    "row with a value in base64": ("POST", PREDICT, {"instances": [{"gender": {"b64": "Rg=="}}]}, 400, "ERR", "gender"),
    "columns that are none": ("POST", PREDICT, {"inputs": [1]}, 400, "ERR", "columns"),
    "another signature": ("POST", PREDICT, {"signature_name": "x", "instances": []}, 400, "ERR", "serving_default"),
    "too many candidates": ("POST", PREDICT, MANY, 413, "TOOBIG", "10000"),
    "top zero": ("GET", "/v1/recommend/movielens?topk=0", None, 400, "ERR", "topk"),
    "top of nothing": ("GET", "/v1/recommend/movielens?topk=many", None, 400, "ERR", "many"),
    "top that is no integer": ("POST", "/v1/recommend/movielens", {"topk": 1.5}, 400, "ERR", "topk"),
    "recommend for a field of the item": ("GET", "/v1/recommend/movielens?item_id=1", None, 400, "ERR", "item_id"),
    "recommend for an unknown field": ("GET", "/v1/recommend/movielens?colour=1", None, 400, "ERR", "colour"),
    "recommend with a nested value": ("POST", "/v1/recommend/movielens", {"context": {"gender": {}}}, 400, "ERR", "gender"),
    "filter by an unknown field": ("GET", "/v1/recommend/movielens?where.colour=1", None, 400, "ERR", "colour"),
    "filter that is no object": ("POST", "/v1/recommend/movielens", {"where": 1}, 400, "ERR", "where"),
    "exclude that is no list": ("POST", "/v1/recommend/movielens", {"exclude": 1}, 400, "ERR", "exclude"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_requests_get_an_error_that_says_what_to_do(trained_cluster, port, case):
    method, path, body, status, code, hint = WRONG[case]
    reply = http_client.request(port, method, path, body)
    assert reply.status == status, reply
    error = reply.json
    assert set(error) == {"error", "code"} and error["code"] == code
    assert hint in error["error"], error
    if status == 405:
        assert hint in reply.headers["Allow"]
    assert get(port, "/health/ready").status == 200
    assert trained_cluster.processes["serve"].is_running


def test_encodings_and_binary_extensions_are_refused(port):
    body = json.dumps(ONE).encode()
    for header in ({"Content-Encoding": "gzip"}, {"Inference-Header-Content-Length": str(len(body))}):
        reply = post(port, INFER, body, header)
        assert (reply.status, reply.json["code"]) == (415, "UNSUPPORTED"), reply


def test_a_body_beyond_the_limit_is_refused_before_it_is_read(port):
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n" % INFER.encode()
    assert raw(port, head).startswith(b"HTTP/1.1 413 ")
    chunk = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % INFER.encode()
    reply = raw(port, head + chunk * 33 + b"0\r\n\r\n")
    assert reply.startswith(b"HTTP/1.1 413 ") and b"TOOBIG" in reply


def raw(port, request):
    """What the server says until it closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # It may close before it has read everything.
        reply = b""
        while True:
            try:
                part = connection.recv(65536)
            except ConnectionResetError:
                return reply
            if not part:
                return reply
            reply += part


@pytest.mark.parametrize("request_bytes", [
    b"\x16\x03\x01\x00\xfa", b"GET\r\n\r\n", b"*1\r\n$4\r\nPING\r\n", b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 500 + b"\r\n", b"GET / HTTP/1.1\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
    b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
    b"POST /v2/models/movielens/infer HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"POST /v2/models/movielens/infer HTTP/1.1\r\nContent-Length: 5\r\n\r\n{",
    b"POST /v2/models/movielens/infer HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
], ids=["TLS", "no version", "RESP", "version 9", "many headers", "long header", "long path", "negative length",
        "half a body", "bad chunk"])
def test_bytes_that_are_no_requests_disturb_nobody(trained_cluster, port, request_bytes):
    reply = raw(port, request_bytes)
    assert reply == b"" or reply.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), reply[:200]
    assert get(port, "/health/ready").status == 200
    assert trained_cluster.processes["serve"].is_running


def test_a_connection_is_used_again_and_requests_may_be_pipelined(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    statuses = [
        http_client.send(connection, "POST", INFER, ONE).status,
        http_client.send(connection, "POST", INFER, {}).status,
        http_client.send(connection, "HEAD", "/v2").status,
        http_client.send(connection, "POST", PREDICT, {"instances": [{"item_id": 1}]}).status,
    ]
    connection.close()
    assert statuses == [200, 400, 200, 200]
    one = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    assert raw(port, one * 5).count(b"HTTP/1.1 200 OK") == 5


# MARK: - Bounds

def test_each_request_of_a_burst_is_answered_or_told_to_come_again(trained_cluster, port):
    body = json.dumps({"inputs": {"user_id": 1, "item_id": list(range(4_000))}}).encode()
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (PREDICT.encode(), len(body))
    connections = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(500)]
    # While the replica stands still, so that it finds all of them at once. How many are too many depends on how fast it reads and
    # answers: that some are refused is for the unit tests.
    trained_cluster.processes["serve"].popen.send_signal(signal.SIGSTOP)
    try:
        for connection in connections:
            connection.sendall(head + body)
    finally:
        trained_cluster.processes["serve"].popen.send_signal(signal.SIGCONT)
    replies = []
    for connection in connections:
        with connection, connection.makefile("rb") as file:
            replies.append(file.read())
    accepted = [reply for reply in replies if reply.startswith(b"HTTP/1.1 200 OK")]
    refused = [reply for reply in replies if reply.startswith(b"HTTP/1.1 503 ")]
    assert len(accepted) + len(refused) == len(connections)
    assert len(accepted) >= 256
    assert len({reply.partition(b"\r\n\r\n")[2] for reply in accepted}) == 1
    assert all(b"BUSY" in reply and b"retry-after: 1" in reply.lower() for reply in refused)
    assert get(port, "/health/ready").status == 200
    assert trained_cluster.info("serve")["in_hand"] <= 1


# MARK: - Without rows, with a password, at the end

def test_a_replica_without_rows_says_so(make_cluster):
    cluster = make_cluster()
    cluster.start("serve")
    cluster.wait_until_listening("serve")
    port = cluster.http_ports["serve"]
    wait_until(lambda: is_open(port), "the HTTP port is open")
    assert get(port, "/health/live").json == {"live": True}
    assert get(port, "/v2/health/live").json == {"live": True}
    requests = [
        ("GET", "/health/ready", None), ("GET", "/v2/health/ready", None), ("GET", MODEL + "/ready", None),
        ("POST", INFER, ONE), ("POST", PREDICT, {"instances": [{"item_id": 1}]}), ("GET", "/v1/recommend/movielens", None),
    ]
    for method, path, body in requests:
        reply = http_client.request(port, method, path, body)
        assert (reply.status, reply.json["code"], reply.headers["Retry-After"]) == (503, "LOADING", "1"), path
        assert "0 of 16 shards" in reply.json["error"]
    [version] = get(port, "/v1/models/movielens").json["model_version_status"]
    assert version["state"] == "LOADING"
    assert get(port, MODEL).status == 200
    # A client that keeps its connection does not hold up the end.
    idle = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    assert http_client.send(idle, "GET", "/v2").status == 200
    assert cluster.processes["serve"].stop() == 0
    idle.close()


def is_open(port):
    try:
        return get(port, "/health/live").status == 200
    except ConnectionRefusedError:
        return False


def test_with_a_password_http_asks_for_it(make_cluster):
    cluster = make_cluster(settings={"cluster.password": "correct horse"})
    for name in ("serve", "ps0"):
        cluster.start(name)
        wait_until(lambda name=name: is_open(cluster.http_ports[name]), f"{name} is live")
    serve, server = (cluster.http_ports[name] for name in ("serve", "ps0"))

    def basic(text):
        return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}
    guarded = [
        (serve, "GET", "/metrics", 200), (serve, "GET", "/v2", 200), (serve, "GET", "/openapi.json", 200),
        (serve, "POST", INFER, 503), (serve, "GET", "/v1/recommend/movielens", 503), (server, "GET", "/metrics", 200),
    ]
    for port, method, path, status in guarded:
        body = ONE if method == "POST" else None
        wrong = [
            {}, {"Authorization": "Bearer wrong"}, {"Authorization": "correct horse"}, {"Authorization": "Basic !"},
            basic("default:wrong"), basic("root:correct horse")]
        for headers in wrong:
            reply = http_client.request(port, method, path, body, headers)
            assert (reply.status, reply.json["code"]) == (401, "NOAUTH"), (path, headers)
            assert "Basic" in reply.headers["WWW-Authenticate"] and "Bearer" in reply.headers["WWW-Authenticate"]
        for headers in ({"Authorization": "Bearer correct horse"}, basic("default:correct horse"), basic(":correct horse")):
            assert http_client.request(port, method, path, body, headers).status == status, (path, headers)
    assert get(serve, "/health/ready").status == 503, "nobody is asked for a password here"
    assert get(server, "/health/ready").status == 200
