"""One request as a browser's fetch() makes it from a page of another origin: its headers, its
redirects, its decoding."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.parse
import urllib.request
import zlib
from dataclasses import dataclass, field
from email.message import Message
from typing import IO

TIMEOUT_S = 30.0
ENCODINGS = "gzip, deflate"
"""Encodings that browsers accept, except those that Python can't decode."""
_PIECE = 1024 * 1024

_Response = http.client.HTTPResponse | urllib.error.HTTPError


class FetchError(Exception):
    """No complete answer came; the text says why."""


@dataclass(frozen=True)
class Answer:
    """A host's answer, decoded."""

    url: str
    """URL after redirects."""
    status: int
    headers: Message
    body: bytes
    """The decoded body; reading stops once it is longer than `most`."""
    wire_bytes: int
    hops: tuple[Message, ...] = ()
    """Headers of the redirects that led here."""

    def header(self, name: str) -> str:
        return str(self.headers.get(name, "")).strip()

    @property
    def media_type(self) -> str:
        return self.header("Content-Type").partition(";")[0].strip().lower()

    @property
    def encoding(self) -> str:
        return self.header("Content-Encoding").lower()


def fetch(url: str, origin: str, most: int, byte_range: str | None = None) -> Answer:
    """Send a request. most: bytes of the decoded body to read; a longer result was cut off.

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
    redirects = _Redirects()
    opener = urllib.request.build_opener(redirects)
    try:
        request = urllib.request.Request(url, headers=headers)
        try:
            response: _Response = opener.open(request, timeout=TIMEOUT_S)
        except urllib.error.HTTPError as error:
            # An HTTP error is an answer as well.
            response = error
        with response:
            body, wire = _read(response, response.headers, most)
            hops = tuple(redirects.hops)
            return Answer(response.url, response.status or 0, response.headers, body, wire, hops)
    except http.client.IncompleteRead as error:
        raise FetchError(f"broke off after {len(error.partial)} bytes of it") from error
    except urllib.error.URLError as error:
        raise FetchError(_reason(error.reason)) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise FetchError(_reason(error)) from error


def _reason(reason: object) -> str:
    if isinstance(reason, TimeoutError):
        return f"no answer within {TIMEOUT_S:.0f} seconds"
    if isinstance(reason, OSError):
        return reason.strerror or str(reason)
    return str(reason) or type(reason).__name__


def _read(response: IO[bytes], headers: Message, most: int) -> tuple[bytes, int]:
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
    while length <= most:
        piece = response.read(_PIECE)
        if not piece:
            break
        wire += len(piece)
        if decoder is not None:
            try:
                piece = decoder.decompress(piece, most + 1 - length)
            except zlib.error as error:
                raise FetchError(f"isn't the {encoding} that it says it is") from error
        parts.append(piece)
        length += len(piece)
    promised = headers.get("Content-Length", "")
    if length <= most and promised.isdecimal() and wire < int(promised):
        raise FetchError(f"broke off after {wire} of {promised} bytes")
    if decoder is not None and length <= most and not decoder.eof:
        raise FetchError(f"its {encoding} breaks off after {wire} bytes")
    return b"".join(parts), wire


@dataclass
class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects as usual, and keeps the headers of each."""

    hops: list[Message] = field(default_factory=list)

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        self.hops.append(headers)
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        parts = [urllib.parse.urlsplit(url)[:2] for url in (req.full_url, newurl)]
        if following is not None and parts[0] != parts[1]:
            # Browsers hide the page's origin after a redirect to another one.
            following.add_header("Origin", "null")
        return following
