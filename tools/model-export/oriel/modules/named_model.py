"""Specs of models that are named by a folder or a Hub id: encoders and decoders of transformers."""

from __future__ import annotations

from pathlib import Path

from oriel.errors import OptionError
from oriel.models.find_checkpoint import DEMO, find_checkpoint
from oriel.models.hub import DownloadDisplay
from oriel.models.load_model import plain_config
from oriel.modules.decoder_spec import decoder_spec, is_decoder
from oriel.modules.encoder_spec import encoder_spec
from oriel.modules.pretrained_model import model_class_of
from oriel.modules.spec import NamedSpec, read_specs


def is_model(place: str) -> bool:
    """Return whether a place is a checkpoint of transformers, or a name on the Hub, and no spec."""
    path = Path(place)
    if path.is_dir():
        return (path / "config.json").is_file()
    is_path = path.exists() or ":" in place or path.suffix == ".py"
    # A name on the Hub is not below a folder that is here: that is a spec's path with a mistake.
    return not is_path and (len(path.parts) == 1 or not path.parent.exists())


def model_spec(place: str, display: DownloadDisplay | None = None) -> NamedSpec:
    """Return the spec of a folder, a Hub id, or `demo`, the bundled model. Raises OrielError for a
    model of no known task."""
    found = find_checkpoint(place, None, display)
    config = plain_config(found.folder)
    named = model_class_of(config, found.folder).__name__
    return (decoder_spec if is_decoder(named) else encoder_spec)(found, config)


def one_spec(place: str) -> NamedSpec:
    """Return the spec of a model's folder, Hub id, `demo`, or path/to/spec.py:NAME. Raises
    OrielError for a file of several."""
    if place == DEMO or is_model(place):
        return model_spec(place)
    specs = read_specs(place)
    if len(specs) != 1:
        raise OptionError(
            "the file holds several specs",
            got=place,
            expected=f"one of them: {', '.join(f'{place}:{each.name}' for each in specs)}",
        )
    return specs[0]
