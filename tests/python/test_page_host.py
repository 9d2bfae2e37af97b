"""The guide's settings for the page's host, on a real nginx; the built page itself is met by
tests/browser/site_*.spec.ts."""

from __future__ import annotations

import re
import urllib.request
from email.message import Message
from pathlib import Path

from publish_servers import nginx

ROOT = Path(__file__).resolve().parents[2]


def headers_of(url: str) -> Message:
    with urllib.request.urlopen(url, timeout=20) as response:
        headers: Message = response.headers
        return headers


def test_nginx_as_the_guide_has_it_isolates_the_page_and_keeps_its_files(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "deployment.md").read_text("utf-8")
    (location,) = re.findall(r"```nginx\n(location /oriel/ .*?)```", guide, re.DOTALL)
    page = tmp_path / "root" / "oriel"
    (page / "assets").mkdir(parents=True)
    (page / "index.html").write_text("<!doctype html>", "utf-8")
    (page / "assets" / "worker.js").write_text("0;", "utf-8")
    with nginx(tmp_path / "root", tmp_path / "work", location) as address:
        both = [headers_of(f"{address}oriel/{path}") for path in ("", "assets/worker.js")]
    for headers in both:
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        assert headers["Content-Security-Policy"].startswith("default-src 'none';")
    assert both[0]["Cache-Control"] == "no-cache"
    assert int(both[1]["Cache-Control"].removeprefix("max-age=")) >= 31536000
