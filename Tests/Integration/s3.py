"""A bucket for tests: moto's server in a process of its own, and a proxy in front of it that fails on purpose."""

import http.client
import http.server
import json
import subprocess
import sys
import threading

import boto3
import requests
from botocore.config import Config

from processes import free_port, listens
from waiting import wait_until

BUCKET = "freshet-tests"
CREDENTIALS = {"aws_access_key_id": "test", "aws_secret_access_key": "secret"}


class S3Server:
    """moto's S3. It keeps everything in memory and does not look at signatures."""

    def __init__(self, directory):
        self.port = free_port()
        with open(directory / "moto.log", "wb") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-p", str(self.port)], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True)
        wait_until(lambda: listens(self.port), "moto listens", 30, check=self.check_running)
        self.client = boto3.client(
            "s3", endpoint_url=self.endpoint, region_name="us-east-1", config=Config(s3={"addressing_style": "path"}),
            **CREDENTIALS)
        self.client.create_bucket(Bucket=BUCKET)

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def check_running(self):
        assert self.popen.poll() is None, f"moto ended with exit code {self.popen.returncode}"

    def settings(self, prefix, endpoint=None):
        """What makes a cluster use the bucket."""
        return {
            "snapshot.store": f"s3://{BUCKET}/{prefix}",
            "snapshot.s3.endpoint": endpoint or self.endpoint,
            "snapshot.s3.access_key_id": CREDENTIALS["aws_access_key_id"],
            "snapshot.s3.secret_access_key": CREDENTIALS["aws_secret_access_key"],
        }

    def keys(self, prefix):
        """Key → size of everything below a prefix."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", [])}

    def uploads(self):
        """Keys of multipart uploads that are neither completed nor aborted."""
        return [upload["Key"] for upload in self.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])]

    def restrict(self):
        """From now on only requests count that a new user has signed.

        Returns the user's key and secret. moto compares signatures with those that botocore makes of the same requests.
        """
        requests.post(f"{self.endpoint}/moto-api/reset-auth", data=b"3", timeout=10).raise_for_status()
        iam = boto3.client("iam", endpoint_url=self.endpoint, region_name="us-east-1", **CREDENTIALS)
        iam.create_user(UserName="freshet")
        key = iam.create_access_key(UserName="freshet")["AccessKey"]
        rights = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
        iam.put_user_policy(UserName="freshet", PolicyName="all", PolicyDocument=json.dumps(rights))
        return key["AccessKeyId"], key["SecretAccessKey"]

    def stop(self):
        self.popen.terminate()
        self.popen.wait(10)


class FlakyProxy:
    """Hands requests on to a server. `plan(number, method, path)` names what goes wrong with one of them, if anything.

    `500`, `503`, `429`: an error of S3's instead of an answer. `reset`: the connection is cut before the request is handed on.
    `lost`: the request is carried out, and the connection is cut instead of the answer. `hold`: it waits until `gate` is set.
    """

    def __init__(self, target_port, plan):
        self.requests = []
        self.failed = 0
        self.gate = threading.Event()
        self.lock = threading.Lock()
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_request(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                with proxy.lock:
                    number = len(proxy.requests)
                    proxy.requests.append((self.command, self.path))
                    fault = plan(number, self.command, self.path)
                    proxy.failed += fault is not None
                if fault == "hold":
                    proxy.gate.wait(60)
                if fault == "reset":
                    return self.cut()
                if fault in ("500", "503", "429"):
                    code = {"500": "InternalError", "503": "SlowDown", "429": "TooManyRequests"}[fault]
                    return self.answer(int(fault), {}, f"<Error><Code>{code}</Code></Error>".encode())
                connection = http.client.HTTPConnection("127.0.0.1", target_port, timeout=60)
                headers = {key: value for key, value in self.headers.items() if key.lower() != "connection"}
                connection.request(self.command, self.path, body, headers)
                response = connection.getresponse()
                content = response.read()
                connection.close()
                if fault == "lost":
                    return self.cut()
                self.answer(response.status, dict(response.getheaders()), content)

            def cut(self):
                self.close_connection = True
                self.connection.close()

            def answer(self, status, headers, content):
                self.send_response(status)
                for key, value in headers.items():
                    if key.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                        self.send_header(key, value)
                length = headers.get("Content-Length", headers.get("content-length")) if self.command == "HEAD" else None
                self.send_header("content-length", length or str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_request

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                """A client that has given up is part of the tests."""

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def stop(self):
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()

