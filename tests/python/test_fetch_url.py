"""One request as a browser makes it, against a host on the loopback that says what it was asked."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from oriel.publishing.fetch_url import FetchError, fetch

ORIGIN = "https://page.example"


class Host(BaseHTTPRequestHandler):
    """Answers with the Origin that it was sent, redirects, or breaks off."""

    def do_GET(self) -> None:
        kind, _, target = self.path[1:].partition("?")
        body = f"{self.headers['Origin']} {self.headers['Range']}".encode()
        headers = {"X-Kind": kind}
        if kind == "to":
            headers["Location"] = target
        elif kind == "gzip":
            body, headers["Content-Encoding"] = gzip.compress(b"x" * 100_000), "gzip"
        elif kind == "cut":
            body, headers["Content-Encoding"] = gzip.compress(b"text" * 999)[:-9], "gzip"
        elif kind in ("br", "deflate"):
            headers["Content-Encoding"] = kind
        self.send_response({"to": 302, "missing": 404}.get(kind, 200))
        headers["Content-Length"] = "1000" if kind == "short" else str(len(body))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return None


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[str, str]]:
    """Two origins."""
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Host) for _ in range(2)]
    threads = [threading.Thread(target=server.serve_forever, args=(0.05,)) for server in servers]
    for thread in threads:
        thread.start()
    yield tuple(f"http://127.0.0.1:{server.server_port}" for server in servers)  # type: ignore[misc]
    for server, thread in zip(servers, threads, strict=True):
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_pages_origin_is_sent_and_hidden_behind_another_one(hosts: tuple[str, str]) -> None:
    one, other = hosts
    hops = {
        f"{one}/echo": (f"{ORIGIN} None", 0),
        f"{one}/to?/echo": (f"{ORIGIN} None", 1),
        f"{one}/to?{other}/echo": ("null None", 1),
        # Once hidden, it stays so, also on the way back.
        f"{one}/to?{other}/to?{one}/echo": ("null None", 2),
    }
    for url, (body, count) in hops.items():
        answer = fetch(url, ORIGIN, 1000)
        assert (answer.body.decode(), len(answer.hops)) == (body, count), url
        assert answer.url == f"{other if url.count('/to?') == 1 and other in url else one}/echo"
        assert {hop["X-Kind"] for hop in answer.hops} <= {"to"}


def test_an_error_of_http_and_a_range_are_answers(hosts: tuple[str, str]) -> None:
    answer = fetch(f"{hosts[0]}/missing", ORIGIN, 1000, byte_range="bytes=0-9")
    assert (answer.status, answer.body.decode()) == (404, f"{ORIGIN} bytes=0-9")


def test_reading_stops_behind_the_limit(hosts: tuple[str, str]) -> None:
    whole = fetch(f"{hosts[0]}/gzip", ORIGIN, 100_000)
    assert whole.body == b"x" * 100_000
    assert whole.wire_bytes == len(gzip.compress(b"x" * 100_000))
    assert fetch(f"{hosts[0]}/gzip", ORIGIN, 50).body == b"x" * 51


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("short", r"broke off after \d+ of 1000 bytes"),
        ("cut", r"its gzip breaks off after \d+ bytes"),
        ("deflate", "isn't the deflate that it says it is"),
        ("br", "encoded as br, which was not asked for"),
        ("to?file:///etc/hostname", "unsupported protocol"),
        ("to?/to?/to?/to?/to?/to?/to?/to?/to?/to?/to?/echo", "redirects"),
    ],
)
def test_what_is_no_whole_answer_is_told(hosts: tuple[str, str], path: str, told: str) -> None:
    with pytest.raises(FetchError, match=told):
        fetch(f"{hosts[0]}/{path}", ORIGIN, 10_000)


def test_a_proxy_that_can_t_be_used_is_told(
    hosts: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    with pytest.raises(FetchError):
        fetch(f"{hosts[0]}/echo", ORIGIN, 1000)
