"""One request as a browser's fetch() makes it from a page of another origin: its headers, its
redirects, its decoding."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2

TIMEOUT_S = 30.0
ENCODINGS = "gzip, deflate"
"""Encodings that browsers accept, except those that Python can't decode."""
_MAX_REDIRECTS = 10


class FetchError(Exception):
    """No complete answer came; the text says why."""


@dataclass(frozen=True)
class Answer:
    """A host's answer, decoded."""

    url: str
    """URL after redirects."""
    status: int
    headers: httpx2.Headers
    body: bytes
    """The decoded body; reading stops once it is longer than `max_bytes`."""
    wire_bytes: int
    hops: tuple[httpx2.Headers, ...] = ()
    """Headers of the redirects that led here."""

    def header(self, name: str) -> str:
        return str(self.headers.get(name, "")).strip()

    @property
    def media_type(self) -> str:
        return self.header("Content-Type").partition(";")[0].strip().lower()

    @property
    def encoding(self) -> str:
        return self.header("Content-Encoding").lower()


def fetch(url: str, origin: str, max_bytes: int, byte_range: str | None = None) -> Answer:
    """Send a request. max_bytes: bytes of the decoded body to read; a longer result was cut off.

    Raises FetchError where no answer comes, or it breaks off.
    """
    headers = {
        "Origin": origin,
        "Referer": f"{origin}/",
        "Accept": "*/*",
        "Accept-Encoding": ENCODINGS,
        "Sec-Fetch-Mode": "cors",
        "Sec-Fetch-Dest": "empty",
        "Sec-Fetch-Site": "cross-site",
        "User-Agent": "Mozilla/5.0 (compatible; oriel check-url)",
    }
    if byte_range is not None:
        headers["Range"] = byte_range

    def hide_origin(request: httpx2.Request) -> None:
        # Browsers hide the page's origin after a redirect to another one.
        if _origin(request.url) != _origin(first):
            request.headers["Origin"] = "null"

    try:
        first = httpx2.URL(url)
        with (
            httpx2.Client(
                timeout=TIMEOUT_S,
                follow_redirects=True,
                max_redirects=_MAX_REDIRECTS,
                event_hooks={"request": [hide_origin]},
            ) as client,
            client.stream("GET", url, headers=headers) as response,
        ):
            body, wire = _read(response.iter_raw(), response.headers, max_bytes)
            hops = tuple(hop.headers for hop in response.history)
            return Answer(
                str(response.url), response.status_code, response.headers, body, wire, hops
            )
    except (httpx2.HTTPError, httpx2.InvalidURL, ImportError, OSError, ValueError) as error:
        # ImportError: the environment names a proxy of a kind that needs another package.
        raise FetchError(_reason(error)) from error


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _reason(error: BaseException) -> str:
    if isinstance(error, httpx2.TimeoutException):
        return f"no answer within {TIMEOUT_S:.0f} seconds"
    at: BaseException | None = error
    while at is not None:
        if isinstance(at, OSError) and at.strerror:
            return at.strerror
        at = at.__cause__ or at.__context__
    return str(error) or type(error).__name__


def _read(pieces: Iterator[bytes], headers: httpx2.Headers, max_bytes: int) -> tuple[bytes, int]:
    encoding = str(headers.get("Content-Encoding", "")).strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise FetchError(f"encoded as {encoding}, which was not asked for")
    decoder = None
    if encoding in ("gzip", "x-gzip"):
        decoder = zlib.decompressobj(wbits=31)
    elif encoding == "deflate":
        decoder = zlib.decompressobj()
    parts: list[bytes] = []
    length = wire = 0
    try:
        for piece in pieces:
            wire += len(piece)
            parts.append(
                piece if decoder is None else decoder.decompress(piece, max_bytes + 1 - length)
            )
            length += len(parts[-1])
            if length > max_bytes:
                break
    except zlib.error as error:
        raise FetchError(f"isn't the {encoding} that it says it is") from error
    except httpx2.RemoteProtocolError as error:
        promised = headers.get("Content-Length", "")
        of = f" of {promised} bytes" if promised.isdecimal() else " bytes of it"
        raise FetchError(f"broke off after {wire}{of}") from error
    if decoder is not None and length <= max_bytes and not decoder.eof:
        raise FetchError(f"its {encoding} breaks off after {wire} bytes")
    return b"".join(parts), wire
