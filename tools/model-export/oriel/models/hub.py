"""Models of the Hugging Face Hub: downloaded into the Hub's own cache, or taken from that cache
where the Hub can't be reached within a few seconds."""

from __future__ import annotations

import errno
import threading
from collections.abc import (
    Callable,
)
from pathlib import Path
from typing import Any, Protocol, TypeVar

from oriel.errors import CheckpointError, HubError
from oriel.models.no_checkpoint import describe_repository
from oriel.models.weight_files import PICKLE, SAFETENSORS, weight_files
from oriel.tokenizers.checkpoint_files import wanted_files

HUB_TIMEOUT_S = 5.0
"""Timeout for the Hub's answer about what it has, in seconds. A download may take as long as bytes
arrive."""
_SMALL_FILES = ("config.json", "generation_config.json")
_Answer = TypeVar("_Answer")


class DownloadDisplay(Protocol):
    """Display of a download's progress; progress.py implements some."""

    def stage(self, text: str) -> None: ...
    def expect_bytes(self, total: int, what: str = ...) -> None: ...
    def add_bytes(self, count: int) -> None: ...


def fetch_from_hub(
    model: str, revision: str | None, display: DownloadDisplay | None, with_weights: bool = True
) -> Path:
    """Return the folder of a complete snapshot in the Hub's cache, which is named by its commit.

    with_weights: False to leave files of weights out where they aren't in the cache yet. Raises
    HubError where neither the Hub nor the cache has the model.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        DisabledRepoError,
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils import logging

    # Its warnings about retries add nothing to our own error of one line.
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]

    def ask() -> tuple[str, list[str]]:
        api = HfApi()
        # Resolving records the branch's commit: without it the cached snapshot can't be found again
        # offline.
        commit: str = api.resolve_revision(model, revision=revision).resolved
        info = api.model_info(model, revision=commit, timeout=HUB_TIMEOUT_S)
        return commit, [sibling.rfilename for sibling in info.siblings or []]

    try:
        commit, names = _within(HUB_TIMEOUT_S, ask)
        wanted = _wanted(model, names)
        if not with_weights:
            wanted = [name for name in wanted if not name.endswith((".safetensors", ".bin"))]
        return _download(model, commit, wanted, display)
    except HubError:
        raise
    except GatedRepoError as error:
        raise HubError(
            f"the Hub gives {model} only to those it let in",
            got="no permission",
            next_step="ask for access on its page, then run `hf auth login`.",
        ) from error
    except RevisionNotFoundError as error:
        raise HubError(
            f"the Hub's {model} has no such revision",
            got=revision,
            expected="a branch, tag or commit",
            next_step="check --revision.",
        ) from error
    except (RepositoryNotFoundError, DisabledRepoError) as error:
        raise HubError(
            f"neither a folder here nor the Hub has {model}",
            got="not found",
            expected="a folder, a public model, or one that your token may read",
            next_step="check --model, or run `hf auth login`.",
        ) from error
    except HFValidationError as error:
        raise CheckpointError(
            "no such checkpoint",
            got=repr(model),
            expected="an existing folder, a Hub id such as org/name, or demo",
            next_step="check --model.",
        ) from error
    except Exception as error:  # noqa: BLE001 - no connection shows in a dozen classes of two libraries
        return _from_cache(model, revision, error)


def _within(seconds: float, work: Callable[[], _Answer]) -> _Answer:
    """Return what `work` returns, or raise what it raises; TimeoutError after `seconds`. It runs in
    a daemon thread: looking up a name has no time limit, and such a thread doesn't keep the program
    from ending."""
    answers: list[_Answer] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not answers:
        raise TimeoutError
    return answers[0]


def _wanted(model: str, names: list[str]) -> list[str]:
    """Return the names of the repository's files that make up the checkpoint, weights last."""
    weights = [n for n in names if n in (SAFETENSORS, f"{SAFETENSORS}.index.json")]
    suffix = ".safetensors"
    if not weights:
        weights = [n for n in names if n in (PICKLE, f"{PICKLE}.index.json")]
        suffix = ".bin"
    if not weights or "config.json" not in names:
        got, step = describe_repository(names) or (
            ", ".join(sorted(names)[:5]) or "no files",
            "name another --model.",
        )
        raise HubError(
            f"the Hub's {model} isn't a checkpoint that can be read",
            got=got,
            expected=f"config.json beside {SAFETENSORS} or {PICKLE}",
            next_step=step,
        )
    # A whole file is enough; shards are taken only where there is none.
    if not {SAFETENSORS, PICKLE} & set(weights):
        stem = weights[0].partition(".")[0]
        weights += [n for n in names if n.startswith(f"{stem}-") and n.endswith(suffix)]
    else:
        weights = [n for n in weights if not n.endswith(".json")]
    return [*(n for n in _SMALL_FILES if n in names), *wanted_files(names), *weights]


def _download(model: str, commit: str, names: list[str], display: DownloadDisplay | None) -> Path:
    """Download the files one after the other, and return their folder.

    By hand rather than with snapshot_download(allow_patterns=names): that lists the repository once
    more, reads names as patterns, fetches files side by side, so that none can be named while it is
    on its way, and reports bytes received and bytes written to two bars of one class, with totals
    that grow meanwhile. The class below would still be needed, and more of it.
    """
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    folder: Path | None = None
    for name in names:
        known = try_to_load_from_cache(model, name, revision=commit)
        if display is not None and not isinstance(known, str):
            display.stage(f"download {name} of {model}")
        try:
            file = hf_hub_download(model, name, revision=commit, tqdm_class=_bar(display))
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise HubError(
                    f"no space left for {model} in the Hub's cache",
                    got=error.strerror,
                    next_step="free some, or set HF_HOME to a folder on another disk.",
                ) from error
            if isinstance(error, (RepositoryNotFoundError, RevisionNotFoundError)):
                raise
            raise _BrokenDownload from error
        except Exception as error:
            raise _BrokenDownload from error
        folder = Path(file).parent
    assert folder is not None, "config.json is always wanted"
    return folder


def _from_cache(model: str, revision: str | None, error: Exception) -> Path:
    """Return the folder of the complete snapshot in the cache; if there is none, raise HubError
    with the reason why the Hub couldn't be used."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(model, revision=revision, local_files_only=True))
        if (folder / "config.json").is_file():
            weight_files(folder)
            return folder
    except (OSError, ValueError, CheckpointError):
        pass
    started = isinstance(error, _BrokenDownload)
    raise HubError(
        f"the download of {model} broke off"
        if started
        else f"{model} is not in the local cache and the Hub can't be reached",
        got=_why(error),
        expected="a connection, or a local folder",
        next_step="connect and run again, or name a local folder, or demo, the bundled model.",
    ) from error


class _BrokenDownload(Exception):
    """The Hub answered, but a file couldn't be downloaded; the exception's cause says why."""


def _why(error: BaseException) -> str:
    # Both of these only wrap the original error.
    if type(error).__name__ in ("RevisionResolutionError", "_BrokenDownload") and error.__cause__:
        return _why(error.__cause__)
    name = type(error).__name__
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP {response.status_code}"
    if isinstance(error, TimeoutError) or "Timeout" in name:
        return f"no answer within {HUB_TIMEOUT_S:.0f} seconds"
    if "Offline" in name:
        return "offline mode"
    if "Connect" in name or "Resolution" in name:
        return "no connection"
    if "Protocol" in name or "Read" in name or isinstance(error, OSError):
        return "a broken connection"
    return name


def _bar(display: DownloadDisplay | None) -> Any:  # noqa: ANN401 - no tqdm, but used like one
    """Return a class that huggingface_hub accepts as a tqdm class; it passes bytes on to the
    display."""

    class Bar:
        """One file's download."""

        def __init__(
            self, *_: object, total: float | None = None, initial: float = 0, **__: object
        ) -> None:
            if display is not None and total:
                display.expect_bytes(int(total), "downloaded")
                display.add_bytes(int(initial))

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def update(self, n: float | None = 1) -> None:
            if display is not None and n:
                display.add_bytes(int(n))

        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda *_, **__: None

    return Bar
