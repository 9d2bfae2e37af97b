"""Models of transformers from a folder: the class that the config names, and its weights, each
tensor accounted for. The code that a checkpoint brings is never run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oriel.errors import ArchitectureError, CheckpointError, first_few, reason_of
from oriel.models.weight_files import weight_files

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


def model_class_of(config: PreTrainedConfig, folder: Path) -> type[PreTrainedModel]:
    """Return the class of transformers that the config names. Raises ArchitectureError where it
    names none, or several."""
    import transformers

    names = list(config.architectures or ())
    found = getattr(transformers, names[0], None) if len(names) == 1 else None
    if not (isinstance(found, type) and issubclass(found, transformers.PreTrainedModel)):
        raise ArchitectureError(
            f"{folder.name}/config.json names no model of transformers",
            got=f"architectures {names}",
            expected="one class, such as BertForSequenceClassification",
            next_step="write a spec file that builds the model: docs/modules.md.",
        )
    return found


def layers_of(config: PreTrainedConfig) -> int:
    """Return the number of layers that a config names, under whatever name; 0 where it doesn't."""
    found = getattr(config.get_text_config(), "num_hidden_layers", None)
    return found if isinstance(found, int) else 0


def load_pretrained(
    model_class: type[PreTrainedModel],
    folder: Path,
    **options: Any,  # noqa: ANN401 - of from_pretrained, each of its own type
) -> PreTrainedModel:
    """Load a model, and hold it to its class: every tensor is there, and no other. Raises
    CheckpointError."""
    from transformers.utils.logging import disable_progress_bar

    # The stages of the command say what goes on.
    disable_progress_bar()  # type: ignore[no-untyped-call]
    weight_files(folder)
    load: Callable[..., Any] = model_class.from_pretrained
    try:
        model, told = load(
            folder,
            local_files_only=True,
            output_loading_info=True,
            # Told below, with their names.
            ignore_mismatched_sizes=True,
            **options,
        )
    except Exception as error:
        # An untrusted checkpoint may raise any class of exception.
        raise CheckpointError(
            f"{folder.name} can't be loaded as a {model_class.__name__}", got=reason_of(error)
        ) from error
    problems = {
        "missing": told["missing_keys"],
        "unexpected": told["unexpected_keys"],
        "of another shape": [str(row[0]) for row in told["mismatched_keys"]],
    }
    for what, names in problems.items():
        if names:
            raise CheckpointError(
                f"{folder.name} is no checkpoint of a {model_class.__name__}",
                got=f"{what}: {first_few(sorted(names))}",
                expected="each tensor of the class, and no other",
            )
    loaded: PreTrainedModel = model
    return loaded
