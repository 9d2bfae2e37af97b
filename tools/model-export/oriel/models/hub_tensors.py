"""Names, dtypes and shapes of a Hub model's tensors, from the headers of its safetensors files: its
weights are not downloaded."""

from __future__ import annotations

from pathlib import Path

from oriel.checkpoints.tensors import StoredTensor
from oriel.errors import HubError, reason_of


def hub_tensors(model: str, commit: str | None) -> dict[str, StoredTensor] | None:
    """Return the tensors by name, whose values can't be read; None for a model without safetensors.
    HubError where the headers can't be had."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import NotASafetensorsRepoError

    try:
        found = HfApi().get_safetensors_metadata(model, revision=commit)
    except NotASafetensorsRepoError:
        return None
    except Exception as error:
        # No connection shows in a dozen classes of two libraries, and a header is anyone's.
        raise HubError(
            f"the headers of {model}'s weights can't be read",
            got=reason_of(error, 200),
            next_step="run again, or download the model and name its folder.",
        ) from error
    return {
        name: StoredTensor(Path(file), name, str(tensor.dtype), tuple(tensor.shape))
        for file, part in found.files_metadata.items()
        for name, tensor in part.tensors.items()
    }
