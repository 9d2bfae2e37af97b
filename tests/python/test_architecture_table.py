"""The table of docs/architectures.md is the tests' own lists, and what it calls refused is."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from architecture_variants import REFUSED, VARIANTS, Variant

from oriel.errors import ArchitectureError
from oriel.models.architectures import REGISTRY, find_architecture

generate_architectures: Any = import_module("generate_architectures")


def test_the_table_is_up_to_date() -> None:
    assert generate_architectures.main(["--check"]) == 0, "run scripts/generate_architectures.py"


def test_every_architecture_is_tried() -> None:
    assert {variant.config().model_type for variant in VARIANTS.values()} == set(REGISTRY)


@pytest.mark.parametrize(("variant", "said"), REFUSED)
def test_settings_are_refused_by_their_name(variant: Variant, said: str) -> None:
    config = variant.config()
    architecture = find_architecture(config.model_type)

    def sizes() -> None:
        architecture.check_config(config)
        architecture.shape(config)

    with pytest.raises(ArchitectureError) as told:
        sizes()
    assert f"got {said};" in str(told.value)
