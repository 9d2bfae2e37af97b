"""Object stores: S3 and compatible ones, Google Cloud Storage, Azure. obstore is the client;
credentials come from the usual environment variables and files of each."""

from __future__ import annotations

import configparser
import gzip
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

from oriel.errors import OptionError, PublishError, reason_of
from oriel.publishing.place import Entry, OnSent, compressed
from oriel.publishing.published_names import PublishedObject

if TYPE_CHECKING:
    from obstore import Attributes
    from obstore.store import ClientConfig, ObjectStore, RetryConfig, S3Config

AT_ONCE = 4
"""Largest number of uploads at a time; each holds one chunk in memory."""
_RETRIES: RetryConfig = {
    "max_retries": 4,
    "retry_timeout": timedelta(seconds=60),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=5)},
}
_VARIABLES = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}
SCHEMES = tuple(_VARIABLES)
"""Schemes of the addresses of stores."""
_ADDRESSES = {"gs": ("GOOGLE_BASE_URL",), "az": ("AZURE_ENDPOINT", "AZURE_STORAGE_ENDPOINT")}
_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)


class StorePlace:
    """A bucket or container, below a prefix."""

    compresses = True
    needs_lease = True

    def __init__(self, address: str, endpoint: str | None) -> None:
        self.address = address.rstrip("/")
        self.store, self._has_credentials = _open_store(self.address, endpoint)

    def entries(self, folder: str) -> dict[str, Entry]:
        import obstore

        with self._clearly("listed"):
            listed = obstore.list_with_delimiter(self.store, folder or None)
        return {
            item["path"]: Entry(item["size"], item["last_modified"].timestamp())
            for item in listed["objects"]
        }

    def read(self, name: str) -> bytes | None:
        import obstore

        try:
            with self._clearly("read"):
                found = obstore.get(self.store, name)
                data = bytes(found.bytes())
        except FileNotFoundError:
            return None
        if found.attributes.get("Content-Encoding") == "gzip":
            try:
                return gzip.decompress(data)
            except (OSError, EOFError, zlib.error):
                # Some stores decompress it by themselves.
                return data
        return data

    def put_all(self, objects: Iterable[PublishedObject], on_sent: OnSent) -> None:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            running: dict[Future[None], PublishedObject] = {}

            def settle(at_most: int) -> None:
                while len(running) > at_most:
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        item = running.pop(future)
                        future.result()
                        on_sent(item)

            try:
                for item in objects:
                    settle(AT_ONCE - 1)
                    running[pool.submit(self.put, item)] = item
                settle(0)
            finally:
                for future in running:
                    future.cancel()

    def put(self, item: PublishedObject) -> None:
        import obstore

        data, attributes = _as_stored(item)
        with self._clearly("written"):
            obstore.put(self.store, item.name, data, attributes=attributes, use_multipart=False)

    def create(self, item: PublishedObject) -> bool:
        import obstore
        from obstore.exceptions import (
            AlreadyExistsError,
            BaseError,
            NotSupportedError,
            PreconditionError,
        )

        data, attributes = _as_stored(item)
        try:
            with self._clearly("written", BaseError):
                obstore.put(self.store, item.name, data, attributes=attributes, mode="create")
        except (AlreadyExistsError, PreconditionError):
            return False
        except BaseError as error:
            if not isinstance(error, NotSupportedError) and "NotImplemented" not in str(error):
                raise self._trouble("written", error) from error
            # A store without conditional writes: another may write between check and write.
            if self.read(item.name) is not None:
                return False
            self.put(item)
        return True

    def delete(self, names: Sequence[str]) -> None:
        import obstore

        if not names:
            return
        try:
            with self._clearly("removed"):
                obstore.delete(self.store, list(names))
        except FileNotFoundError:
            # Some stores report an object that another run removed before.
            return

    @contextmanager
    def _clearly(self, what: str, *passed_on: type[BaseException]) -> Iterator[None]:
        """Turn obstore's errors into PublishErrors; a missing object stays a FileNotFoundError."""
        from obstore.exceptions import BaseError

        try:
            yield
        except passed_on:
            raise
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error) or "ContainerNotFound" in str(error):
                raise self._trouble(what, error) from error
            raise
        except (BaseError, OSError, ValueError) as error:
            raise self._trouble(what, error) from error

    def _trouble(self, what: str, error: BaseException) -> PublishError:
        return _trouble(self.address, what, error, self._has_credentials)


def _as_stored(item: PublishedObject) -> tuple[bytes, Attributes]:
    attributes: Attributes = {
        "Content-Type": item.media_type,
        "Cache-Control": item.cache_control,
    }
    if not item.compressible:
        return item.data, attributes
    return compressed(item), {**attributes, "Content-Encoding": "gzip"}


def _open_store(address: str, endpoint: str | None) -> tuple[ObjectStore, bool]:
    """Return the store, and True if credentials were found; else it asks the machine's cloud."""
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ImportError as error:
        raise PublishError(
            f"publishing to {address.partition('://')[0]}:// needs the package obstore",
            next_step="install the extra that brings it: pip install 'oriel[publish]', or here "
            "pip install -r tools/model-export/requirements-publish.txt.",
        ) from error
    scheme = address.partition("://")[0]
    config: dict[str, str] = {}
    found = any(name.startswith(_VARIABLES[scheme]) for name in os.environ)
    if scheme == "s3":
        # obstore has its own name for the variable, and reads no file of credentials.
        endpoint = endpoint or os.environ.get("AWS_ENDPOINT_URL_S3")
        endpoint = endpoint or os.environ.get("AWS_ENDPOINT_URL")
        config = _aws_files()
        found = "aws_access_key_id" in config or any(map(os.environ.get, _CREDENTIALS))
        if endpoint is not None:
            if not endpoint.startswith(("http://", "https://")):
                raise OptionError(
                    "--endpoint is no address", got=endpoint, expected="https://host[:port]"
                )
            config["endpoint"] = endpoint.rstrip("/")
    # Plain HTTP for stores on loopback and emulators: only where their address says so.
    elsewhere = [os.environ.get(name, "") for name in _ADDRESSES.get(scheme, ())]
    plain = any(url.startswith("http://") for url in (endpoint or "", *elsewhere))
    options: ClientConfig = {
        "allow_http": plain,
        # A chunk may take a while on a slow line; making a connection may not.
        "timeout": timedelta(minutes=5),
        "connect_timeout": timedelta(seconds=5),
    }
    try:
        store = from_url(
            address,
            # The names of a profile's entries, which obstore takes as it takes its own.
            config=cast("S3Config", config) or None,
            client_options=options,
            retry_config=_RETRIES,
        )
    except (BaseError, ValueError) as error:
        raise _trouble(address, "opened", error, found) from error
    return store, found


def _aws_files() -> dict[str, str]:
    """Read the profile from ~/.aws, unless the environment has credentials: obstore doesn't."""
    if any(os.environ.get(name) for name in _CREDENTIALS):
        return {}
    profile = os.environ.get("AWS_PROFILE", "default")
    found: dict[str, str] = {}
    for variable, name, section in (
        ("AWS_SHARED_CREDENTIALS_FILE", "credentials", profile),
        ("AWS_CONFIG_FILE", "config", profile if profile == "default" else f"profile {profile}"),
    ):
        file = Path(os.environ.get(variable) or Path.home() / ".aws" / name)
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read(file, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError) as error:
            raise PublishError(f"{file} can't be read", got=reason_of(error)) from error
        if parser.has_section(section):
            found |= {
                key: parser[section][key]
                for key in (
                    "aws_access_key_id",
                    "aws_secret_access_key",
                    "aws_session_token",
                    "region",
                )
                if key in parser[section]
            }
    if "AWS_REGION" in os.environ or "AWS_DEFAULT_REGION" in os.environ:
        found.pop("region", None)
    return found


def _trouble(address: str, what: str, error: BaseException, found: bool) -> PublishError:
    """Return an error of one line for obstore's, which has several."""
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

    text = str(error)
    next_step = "try again: what was sent already is not sent twice."
    if any(word in text for word in ("NoSuchBucket", "ContainerNotFound", "bucket does not exist")):
        got, next_step = "no such bucket", "make it, or check --to."
    elif any(word in text for word in _WRONG_CREDENTIALS):
        got, next_step = "credentials that the store doesn't know", _CHECK_CREDENTIALS
    elif isinstance(error, (PermissionDeniedError, UnauthenticatedError)) or "AccessDenied" in text:
        got, next_step = "no permission", _CHECK_CREDENTIALS
    elif any(word in text for word in _NO_CREDENTIALS) or (
        not found and any(word in text.lower() for word in _NO_CONNECTION)
    ):
        got, next_step = "no credentials", _CHECK_CREDENTIALS
    elif any(word in text.lower() for word in _NO_CONNECTION):
        got, next_step = "no connection", "check --endpoint and your connection, then try again."
    else:
        got = text.partition("Debug source")[0][:200]
    return PublishError(f"{address} can't be {what}", got=got, next_step=next_step)


# Words in errors of stores and clients that got no credentials.
_NO_CREDENTIALS = ("redential", "token request", "must be specified")
_NO_CONNECTION = ("error sending request", "dns error", "connect")
_WRONG_CREDENTIALS = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken")
_CHECK_CREDENTIALS = (
    "check the credentials (AWS_…, GOOGLE_… or AZURE_… variables), and that they may list, read, "
    "write and delete there."
)
