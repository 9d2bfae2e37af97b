"""Publish a bundle with publish.py to a folder behind nginx and to an S3 server, print both
addresses as JSON, and serve until standard input ends. For site_published.spec.ts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "python"))

from publish_servers import nginx, s3_server  # noqa: E402 -- found by the line above

PUBLISH = [sys.executable, str(ROOT / "tools" / "model-export" / "publish.py")]
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "reader",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "us-east-1",
}


def publish(bundle: Path, to: str, *more: str) -> None:
    subprocess.run(
        [*PUBLISH, str(bundle), "--to", to, "--version", "1.0.0", *more],
        check=True,
        env={**os.environ, **CREDENTIALS},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def main(bundle: Path) -> None:
    with tempfile.TemporaryDirectory() as work:
        root = Path(work) / "root"
        publish(bundle, str(root / "models" / "demo"))
        with nginx(root, Path(work) / "nginx") as host, s3_server() as store:
            store.make_bucket("models")
            publish(bundle, "s3://models/demo", "--endpoint", store.endpoint)
            addresses = {"nginx": f"{host}models/demo", "S3": store.address("demo")}
            # The page is allowed models from ports of localhost.
            found = {
                name: f"{address}/manifest.json".replace("127.0.0.1", "localhost")
                for name, address in addresses.items()
            }
            print(json.dumps(found), flush=True)
            sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
