"""Publishing to real servers on loopback, and reading back over HTTP: nginx and an S3 store."""

from __future__ import annotations

import gzip
import json
import logging
import shutil
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from publish_bundles import files_of, make_bundle, read_model, weights_of
from publish_servers import CORS, NGINX_LOCATION, S3Server, nginx, s3_server

from oriel.cli import main
from oriel.errors import PublishError
from oriel.progress import Silent
from oriel.publishing.check_url import DEFAULT_ORIGIN, UrlReport, check_url, manifest_url
from oriel.publishing.open_place import open_place
from oriel.publishing.place import Place
from oriel.publishing.prune import prune
from oriel.publishing.publish import Published, publish
from oriel.publishing.published_names import CACHE_FOREVER, CACHE_SHORTLY, CHUNKS
from oriel.publishing.to_folder import FolderPlace

LEAST = 100_000
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def s3_of_all() -> Iterator[S3Server]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with s3_server() as server:
        yield server


@pytest.fixture
def s3(s3_of_all: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    for name, value in (("ACCESS_KEY_ID", "key"), ("SECRET_ACCESS_KEY", "secret")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    s3_of_all.forget()
    s3_of_all.make_bucket("models")
    return s3_of_all


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "bundle", weights_of())


def send(bundle: Path, place: Place, version: str = "1.0.0") -> Published:
    return publish(bundle, place, version, Silent(), LEAST)


def get(url: str) -> tuple[bytes, Any]:
    with urllib.request.urlopen(url, timeout=20) as response:
        data, headers = response.read(), response.headers
    return gzip.decompress(data) if headers["Content-Encoding"] == "gzip" else data, headers


def check(url: str, origin: str = DEFAULT_ORIGIN) -> UrlReport:
    return check_url(url, origin, Silent())


def test_an_s3_store_serves_what_was_published(bundle: Path, s3: S3Server) -> None:
    place = open_place("s3://models/demo/small", s3.endpoint)
    published = send(bundle, place)
    address = s3.address("demo/small/")
    assert read_model(lambda name: get(address + name)[0]) == files_of(bundle)
    manifest, headers = get(f"{address}manifest.json")
    assert headers["Cache-Control"] == CACHE_SHORTLY
    assert headers["Content-Type"] == "application/json"
    assert headers["Content-Encoding"] == "gzip"
    assert int(headers["Content-Length"]) < len(manifest) / 2
    for name in published.sent[:-1]:
        headers = get(address + name)[1]
        assert headers["Cache-Control"] == CACHE_FOREVER
        assert headers["Content-Encoding"] == (None if name.endswith(".bin") else "gzip")
    assert send(bundle, place).sent == []
    report = check(address)
    assert report.findings == []
    assert (report.version, report.objects) == ("1.0.0", published.chunks)
    assert report.wire_bytes < report.bytes


def test_an_s3_store_gets_only_what_differs_and_is_pruned(
    tmp_path: Path, bundle: Path, s3: S3Server
) -> None:
    place = open_place("s3://models/demo", s3.endpoint)
    send(bundle, place)
    tensors = weights_of()
    tensors["c_attn"] = tensors["c_attn"][:-1] + b"!"
    second = make_bundle(tmp_path / "second", tensors)
    new = send(second, place, "1.1.0")
    assert sum(name.startswith(CHUNKS) for name in new.sent) == 1
    address = s3.address("demo/")

    def read(name: str) -> bytes:
        return get(address + name)[0]

    assert read_model(read, "manifest-1.0.0.json") == files_of(bundle)
    assert read_model(read) == files_of(second)
    assert prune(place, True).names == ()
    place.delete(["manifest-1.0.0.json"])
    assert len(prune(place, False).names) == 1
    assert len(prune(place, True).names) == 1
    assert prune(place, True).names == ()
    assert read_model(read) == files_of(second)
    with pytest.raises(PublishError, match=r"version 1\.1\.0 already"):
        send(bundle, place, "1.1.0")
    assert read_model(read) == files_of(second)


def test_two_publishers_at_once_on_an_s3_store(tmp_path: Path, s3: S3Server) -> None:
    bundles = [make_bundle(tmp_path / str(n), weights_of(n)) for n in range(2)]
    outcomes: list[object] = []

    def run(number: int) -> None:
        try:
            # The same version, so that one of them must be refused.
            outcomes.append(send(bundles[number], open_place("s3://models/x", s3.endpoint)))
        except PublishError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=run, args=[n]) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["PublishError", "Published"]
    whole = read_model(lambda name: get(s3.address(f"x/{name}"))[0], "manifest-1.0.0.json")
    assert whole in [files_of(made) for made in bundles]
    assert read_model(lambda name: get(s3.address(f"x/{name}"))[0]) == whole


def test_an_interrupted_upload_to_s3_is_taken_up(
    bundle: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = open_place("s3://models/demo", s3.endpoint)
    put, calls = place.put, iter(range(100))

    def breaking(item: Any) -> None:
        if item.name.startswith(CHUNKS) and next(calls) >= 6:
            raise PublishError("the line broke")
        put(item)

    with monkeypatch.context() as patch:
        patch.setattr(place, "put", breaking)
        with pytest.raises(PublishError, match="the line broke"):
            send(bundle, place)
    there = place.entries(CHUNKS)
    assert len(there) == 6
    assert place.entries("") == {}
    published = send(bundle, place)
    assert not there.keys() & set(published.sent)
    assert read_model(lambda n: get(s3.address(f"demo/{n}"))[0]) == files_of(bundle)


def test_a_store_without_conditional_writes_keeps_versions_too(
    tmp_path: Path, bundle: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    import obstore
    from obstore.exceptions import GenericError

    put = obstore.put

    def old_store(*words: Any, **options: Any) -> Any:
        if options.get("mode") == "create":
            raise GenericError("HTTP 501: <Code>NotImplemented</Code>")
        return put(*words, **options)

    monkeypatch.setattr(obstore, "put", old_store)
    place = open_place("s3://models/demo", s3.endpoint)
    assert send(bundle, place).sent[-1] == "manifest.json"
    with pytest.raises(PublishError, match=r"version 1\.0\.0 already"):
        send(make_bundle(tmp_path / "other", weights_of(1)), place)
    assert read_model(lambda n: get(s3.address(f"demo/{n}"))[0]) == files_of(bundle)


def publish_words(bundle: Path, to: str, endpoint: str) -> list[str]:
    return ["publish", str(bundle), "--to", to, "--endpoint", endpoint, "--json"]


def test_what_keeps_a_store_away_is_told_in_a_line(
    bundle: Path,
    s3: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refused(to: str, endpoint: str = s3.endpoint) -> str:
        assert main(publish_words(bundle, to, endpoint)) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return str(line)

    assert "no such bucket" in refused("s3://nowhere/demo")
    assert "no connection" in refused("s3://models/demo", "http://127.0.0.1:9")
    assert "--endpoint is no address" in refused("s3://models/demo", "localhost")
    s3.refuse_unknown_keys(True)
    try:
        assert "credentials that the store doesn't know" in refused("s3://models/demo")
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
            monkeypatch.setenv(name, str(tmp_path / "none"))
        # The address that machines of a cloud ask for credentials, which nobody answers here.
        monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
        assert "no credentials" in refused("s3://models/demo")
    finally:
        s3.refuse_unknown_keys(False)


def test_credentials_come_from_the_profile_too(
    bundle: Path, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_PROFILE", "lab")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    file = tmp_path / "credentials"
    text = "[default]\n[lab]\naws_access_key_id = a%b\naws_secret_access_key = c\n"
    file.write_text(text, encoding="utf-8")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    assert send(bundle, open_place("s3://models/demo")).sent


@pytest.fixture
def site(bundle: Path, tmp_path: Path) -> Path:
    """The root of a host, with a model at models/demo."""
    send(bundle, FolderPlace(str(tmp_path / "site" / "models" / "demo")))
    return tmp_path / "site"


def test_nginx_serves_what_was_published(bundle: Path, site: Path, tmp_path: Path) -> None:
    with nginx(site, tmp_path / "nginx") as host:
        address = f"{host}models/demo/"
        assert read_model(lambda name: get(address + name)[0]) == files_of(bundle)
        for url in (address, f"{address}model.onnx", f"{address}manifest-1.0.0.json?v=3"):
            report = check(url)
            assert report.findings == []
            assert report.passed
        assert report.wire_bytes < report.bytes


def test_the_guide_has_the_settings_that_are_tested() -> None:
    guide = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    assert NGINX_LOCATION in guide


def test_a_host_without_settings_is_told_what_to_change(site: Path, tmp_path: Path) -> None:
    with nginx(site, tmp_path / "nginx", "") as host:
        report = check(f"{host}models/demo/")
        assert not report.passed
        said = {(f.level, f.what) for f in report.findings}
        assert said == {
            ("error", f"a page at {DEFAULT_ORIGIN} may not read it (CORS)"),
            ("advice", "JSON or graphs travel uncompressed"),
            ("advice", "JSON comes as another content type"),
            ("advice", "weights come as text"),
            (
                "advice",
                "manifest.json may be cached for long, and a new version not be seen",
            ),
        }
        assert all(len(finding.line().splitlines()) == 1 for finding in report.findings)
        # For a page on the same host the rest is advice.
        assert check(f"{host}models/demo/", host.rstrip("/")).passed


def damage_nothing(folder: Path) -> None:
    return None


def largest(folder: Path) -> Path:
    return max(folder.glob("chunks/*.bin"), key=lambda file: file.stat().st_size)


def damage_a_byte(folder: Path) -> None:
    data = bytearray(largest(folder).read_bytes())
    data[7] ^= 1
    largest(folder).write_bytes(data)


def damage_length(folder: Path) -> None:
    data = largest(folder).read_bytes()
    largest(folder).write_bytes(data[:-1])


def damage_presence(folder: Path) -> None:
    largest(folder).unlink()


def damage_manifest(folder: Path) -> None:
    for name in ("manifest.json", "manifest.json.gz"):
        (folder / name).unlink()
    (folder / "manifest.json").write_text('{"format": "something"}', encoding="utf-8")


def damage_compressed(folder: Path) -> None:
    (compressed, *_) = folder.glob("chunks/*.onnx.gz")
    compressed.write_bytes(compressed.read_bytes()[:-9])


@pytest.mark.parametrize(
    ("damage", "location", "said", "level"),
    [
        (damage_a_byte, NGINX_LOCATION, "holds other bytes", "error"),
        (damage_length, NGINX_LOCATION, "another length", "error"),
        (damage_presence, NGINX_LOCATION, "HTTP 404", "error"),
        (damage_manifest, NGINX_LOCATION, "manifest can't be read", "error"),
        (damage_compressed, NGINX_LOCATION, "breaks off", "error"),
        (
            damage_nothing,
            f"location / {{ {CORS} types {{ text/html html; }} try_files /index.html =404; }}",
            "an HTML page came",
            "error",
        ),
        (
            damage_nothing,
            NGINX_LOCATION.replace("gzip_static on;", "gzip_static on; max_ranges 0;"),
            "ranges are not served",
            "advice",
        ),
        (
            damage_nothing,
            NGINX_LOCATION.replace("31536000, immutable", "5"),
            "chunks are cached briefly",
            "advice",
        ),
        (
            damage_nothing,
            NGINX_LOCATION.replace("max-age=60", "max-age=604800"),
            "manifest.json may be cached for long",
            "advice",
        ),
        (
            damage_nothing,
            NGINX_LOCATION.replace("Origin *", f"Origin {DEFAULT_ORIGIN}"),
            "without Vary: Origin",
            "advice",
        ),
        (
            damage_nothing,
            f"{NGINX_LOCATION}location /old/ {{ return 302 /models$request_uri; }}",
            "",
            "",
        ),
        (
            damage_nothing,
            NGINX_LOCATION.replace("immutable", "no-transform").replace(
                "gzip_static on;", "gzip on; gzip_types *; gzip_min_length 1;"
            ),
            "weights travel compressed",
            "advice",
        ),
    ],
)
def test_what_is_wrong_with_a_host_is_named(
    site: Path, tmp_path: Path, damage: Any, location: str, said: str, level: str
) -> None:
    (site / "index.html").write_text("<!doctype html>" + " " * 9000, encoding="utf-8")
    damage(site / "models" / "demo")
    with nginx(site, tmp_path / "nginx", location) as host:
        report = check(f"{host}models/demo/")
    lines = [finding.line() for finding in report.findings]
    if not said:
        assert lines == []
        return
    (found,) = (f for f in report.findings if said in f.line())
    assert found.level == level, lines
    assert report.passed == (level == "advice"), lines


def test_redirects_are_followed_where_a_browser_may(site: Path, tmp_path: Path) -> None:
    for hop, fine in (("", False), (CORS, True)):
        moved = f"location /old/ {{ {hop} rewrite ^/old/(.*)$ /models/$1 redirect; }}"
        with nginx(site, tmp_path / f"nginx{fine}", f"{NGINX_LOCATION}{moved}") as host:
            report = check(f"{host}old/demo/manifest.json")
            assert report.passed == fine, report.findings


class Broken(BaseHTTPRequestHandler):
    """Promises more than it sends."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()
        self.wfile.write(b'{"format": ')
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        return None


def test_a_host_that_breaks_off_or_is_not_there() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Broken)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}/"
    try:
        report = check(address)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert not report.passed
    assert "broke off" in report.findings[0].line()
    (finding,) = check(address).findings
    assert "refused" in finding.got


def test_the_command_line_of_check_url(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with nginx(site, tmp_path / "nginx") as host:
        address = f"{host}models/demo/"
        assert main(["check-url", address]) == 0
        assert "a page can load it" in capsys.readouterr().out
        shutil.rmtree(site / "models" / "demo" / "chunks")
        assert main(["check-url", address, "--json"]) == 1
        report = json.loads(capsys.readouterr().out)
        assert not report["passed"]
        assert report["findings"][0]["level"] == "error"
    for words in (["file:///etc/hosts"], ["nowhere"], [address, "--origin", "page"]):
        assert main(["check-url", *words]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_addresses_that_mean_a_manifest() -> None:
    for given, meant in (
        ("https://h/a/", "https://h/a/manifest.json"),
        ("https://h/a/model.onnx?v=2", "https://h/a/manifest.json?v=2"),
        ("https://h/a/manifest-1.json#x", "https://h/a/manifest-1.json"),
        ("https://h", "https://h/manifest.json"),
    ):
        assert manifest_url(given) == meant
