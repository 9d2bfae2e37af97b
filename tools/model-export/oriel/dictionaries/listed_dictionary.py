"""Reads the dictionaries of a bundle and checks them against the bundle's manifest."""

from __future__ import annotations

from pathlib import Path

from oriel.bundle.listed_file import ListedKind
from oriel.contract.activation_names import ModelShape
from oriel.contract.dictionaries import ENCODER, features_name, row_spec
from oriel.contract.documents import DictionaryRecord, ManifestDocument, TapRecord
from oriel.dictionaries.dictionary_file import Dictionary, read_dictionary
from oriel.errors import OptionError
from oriel.graph.dictionary_taps import dictionary_tap
from oriel.graph.tensor_file import places_in_tap

_LISTED = ListedKind("dictionary", "oriel add-dictionary")


def check_dictionary(
    folder: Path, manifest: ManifestDocument, record: DictionaryRecord
) -> Dictionary:
    """Read a dictionary of a bundle. Raises BundleError if its file differs from the manifest's
    description, or if a tap refers to a place of the file other than the encoder's tensors."""
    dictionary = _LISTED.read(folder, manifest, record, read_dictionary)
    prefix = features_name(record["name"])
    wanted = {
        f"{prefix}/{part}": dictionary.places[part].place
        for part in ENCODER
        if part in dictionary.places
    }
    for variant, tap in record["taps"].items():
        if places_in_tap(tap) != wanted:
            raise _LISTED.other(
                record, f"{variant}'s tap", "one that reads the encoder of its file"
            )
    return dictionary


def tap_record(name: str, dictionary: Dictionary, shape: ModelShape) -> TapRecord:
    """Return the tap of a dictionary, which is the same for all variants. name: the dictionary's in
    its bundle."""
    reads = row_spec(dictionary.description["reads"], shape)
    assert reads is not None
    places = dictionary.places
    tap = dictionary_tap(name, reads, dictionary.description, dictionary.path, places)
    return tap.to_json()


def choose_dictionary(manifest: ManifestDocument, name: str) -> DictionaryRecord:
    """Return the dictionary of a name. Raises OptionError if the bundle has no such one."""
    there = {each["name"]: each for each in manifest.get("dictionaries", ())}
    if name not in there:
        raise OptionError(
            "the bundle has no such dictionary",
            got=str(name)[:80],
            expected=f"one of {', '.join(there)}" if there else "a bundle that has one",
            next_step="add one: oriel add-dictionary.",
        )
    return there[name]
