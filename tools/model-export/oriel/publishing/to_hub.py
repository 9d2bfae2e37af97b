"""A model repository on the Hugging Face Hub. Chunks are uploaded as they come and committed in
batches; a commit that depends on what it saw names the commit that it saw."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from oriel.errors import OptionError, PublishError
from oriel.publishing.place import Entry, OnSent
from oriel.publishing.published_names import CHUNKS, PublishedObject

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

FILES_OF_A_COMMIT = 64
"""A run that breaks off loses no more of the uploads than these, and the Hub knows their bytes."""
_UPLOADED_AT_ONCE = 4
_MAX_ATTEMPTS = 5


class HubPlace:
    """A repository's main branch, below a folder of it. The Hub sets its own headers."""

    compresses = False
    needs_lease = False

    def __init__(self, address: str) -> None:
        from huggingface_hub import HfApi

        self.address = address.rstrip("/")
        parts = self.address.removeprefix("hf://").split("/")
        if len(parts) < 2 or not all(parts):
            raise OptionError("--to names no repository", got=address, expected="hf://org/name")
        self.repository = "/".join(parts[:2])
        self.prefix = "".join(f"{part}/" for part in parts[2:])
        self.api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), library_name="oriel")
        self._seen: str | None = None
        """The commit whose top folder was listed last."""

    def entries(self, folder: str) -> dict[str, Entry]:
        with self._errors_explained("listed"):
            if not folder or self._seen is None:
                self._seen = self._head()
            return self._entries(folder, self._seen)

    def _entries(self, folder: str, commit: str) -> dict[str, Entry]:
        from huggingface_hub import RepoFile
        from huggingface_hub.errors import EntryNotFoundError

        place = f"{self.prefix}{folder}".rstrip("/") or None
        try:
            listed = list(self.api.list_repo_tree(self.repository, place, revision=commit))
        except EntryNotFoundError:
            return {}
        return {
            item.path.removeprefix(self.prefix): Entry(item.size, 0.0)
            for item in listed
            if isinstance(item, RepoFile)
        }

    def read(self, name: str) -> bytes | None:
        from huggingface_hub.errors import EntryNotFoundError

        try:
            # Into a temporary folder: the Hub's cache would keep every version.
            with self._errors_explained("read"), tempfile.TemporaryDirectory() as folder:
                file = self.api.hf_hub_download(
                    self.repository, f"{self.prefix}{name}", local_dir=folder
                )
                return Path(file).read_bytes()
        except EntryNotFoundError:
            return None

    def put_all(self, objects: Iterable[PublishedObject], on_sent: OnSent) -> None:
        operations: list[CommitOperationAdd] = []
        waiting: list[CommitOperationAdd] = []
        items: list[PublishedObject] = []

        def upload() -> None:
            if waiting:
                self.api.preupload_lfs_files(self.repository, waiting)
                waiting.clear()

        def commit() -> None:
            upload()
            if operations:
                self._commit(operations, f"Chunks: {len(operations)}")
                for item in items:
                    on_sent(item)
                operations.clear()
                items.clear()

        with self._errors_explained("written"):
            for item in objects:
                addition = self._addition(item)
                operations.append(addition)
                waiting.append(addition)
                items.append(item)
                if len(waiting) == _UPLOADED_AT_ONCE:
                    upload()
                if len(operations) == FILES_OF_A_COMMIT:
                    commit()
            commit()

    def put(self, item: PublishedObject) -> None:
        with self._errors_explained("written"):
            self._commit([self._addition(item)], f"Publish {item.name}")

    def create(self, item: PublishedObject) -> bool:
        """Write an object unless its name is taken; return False then. Raises PublishError where
        chunks were removed since they were listed."""
        from huggingface_hub.errors import HfHubHTTPError

        with self._errors_explained("written"):
            before = self._entries(CHUNKS, self._head())
            for _ in range(_MAX_ATTEMPTS):
                head = self._head()
                if item.name in self._entries("", head):
                    return False
                if not before.keys() <= self._entries(CHUNKS, head).keys():
                    break
                try:
                    self._commit([self._addition(item)], f"Publish {item.name}", head)
                    return True
                except HfHubHTTPError as error:
                    if error.response.status_code not in (409, 412):
                        raise
        raise PublishError(
            f"{self.address} was changed by another at the same time", next_step="try again."
        )

    def delete(self, names: Sequence[str]) -> None:
        from huggingface_hub import CommitOperationDelete

        if not names:
            return
        operations = [CommitOperationDelete(f"{self.prefix}{name}") for name in names]
        with self._errors_explained("pruned"):
            # The Hub refuses it if anything was published since the listing.
            self._commit(operations, f"Prune {len(names)} files", self._seen)

    def _head(self) -> str:
        commit: str | None = self.api.model_info(self.repository).sha
        if commit is None:
            raise PublishError(f"{self.address} has no commit", next_step="check --to.")
        return commit

    def _addition(self, item: PublishedObject) -> CommitOperationAdd:
        from huggingface_hub import CommitOperationAdd

        return CommitOperationAdd(f"{self.prefix}{item.name}", item.data)

    def _commit(
        self,
        operations: Sequence[CommitOperationAdd | CommitOperationDelete],
        message: str,
        parent: str | None = None,
    ) -> None:
        self.api.create_commit(
            self.repository, operations, commit_message=message, parent_commit=parent
        )

    @contextmanager
    def _errors_explained(self, what: str) -> Iterator[None]:
        """Turn huggingface_hub's errors into PublishErrors; that of a missing file is kept."""
        from huggingface_hub.errors import (
            EntryNotFoundError,
            GatedRepoError,
            HfHubHTTPError,
            HFValidationError,
            RepositoryNotFoundError,
        )

        # httpx's errors are of a package that is huggingface_hub's own affair.
        try:
            yield
        except (EntryNotFoundError, PublishError):
            raise
        except (RepositoryNotFoundError, GatedRepoError, HFValidationError) as error:
            raise self._error(
                what, "no such repository, or none that your token may see", _CREATE_REPOSITORY
            ) from error
        except HfHubHTTPError as error:
            status = error.response.status_code
            if status in (401, 403):
                raise self._error(what, "no permission", _LOG_IN) from error
            if status in (409, 412):
                raise self._error(what, "a change by another meanwhile", "try again.") from error
            raise self._error(what, f"HTTP {status}", _RETRY) from error
        except Exception as error:
            name = type(error).__name__
            if "Connect" not in name and "Timeout" not in name and not isinstance(error, OSError):
                raise
            raise self._error(what, "no connection", _RETRY) from error

    def _error(self, what: str, got: str, next_step: str) -> PublishError:
        return PublishError(f"{self.address} can't be {what}", got=got, next_step=next_step)


_CREATE_REPOSITORY = "make it with `hf repos create`, or check --to and run `hf auth login`."
_LOG_IN = "run `hf auth login` with a token that may write there."
_RETRY = "try again: what was sent already is not sent twice."
