"""Recipes: the rules, as data, for how each weight is encoded. The bundled ones are in bundled/; a
user's own is a file of the same form, which recipe.schema.json describes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from math import prod
from pathlib import Path
from typing import Literal, NotRequired, TypedDict, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from oriel.contract.documents import RecipeRecord
from oriel.errors import RecipeError, reason_of
from oriel.precision.recipes.weight_uses import WeightUse

Treatment = Literal["float32", "float16", "channels", "blocks"]
Rounding = Literal["nearest", "mse", "hqq", "gptq"]
BlockSize = Literal[16, 32, 64, 128, 256]

_HERE = Path(__file__).parent
_MAX_BYTES = 1024 * 1024


class RuleRecord(TypedDict):
    """A rule as recipe.schema.json describes it."""

    match: str | list[str]
    treat: Treatment
    max_values: NotRequired[int]
    bits: NotRequired[Literal[4, 8]]
    block: NotRequired[BlockSize]
    symmetric: NotRequired[bool]
    signed: NotRequired[bool]
    reduced: NotRequired[bool]
    rounding: NotRequired[Rounding]


@dataclass(frozen=True)
class Rule:
    """Encoding of the weights whose names match. `channels` and `blocks` are for matrices: a
    vector, a router's matrix, or a weight that no quantized kernel reads, goes on to the next
    rule."""

    match: tuple[str, ...]
    """Globs: *, ? and [ab]."""
    treat: Treatment
    max_values: int | None = None
    """Larger weights go on to the next rule."""
    bits: Literal[4, 8] = 8
    block: BlockSize | None = None
    symmetric: bool = True
    signed: bool = False
    """channels: int8, else uint8. uint8 by default: on processors with AVX2 alone, ONNX Runtime's
    product of uint8 and int8 saturates; that of uint8 and uint8 never does."""
    reduced: bool = False
    """channels, signed: of a weight that is multiplied, only -64 … 63. Two products of such a value
    and a uint8 fit 16 bits, so that the sum never saturates either."""
    rounding: Rounding = "nearest"

    @property
    def quantizes(self) -> bool:
        return self.treat in ("channels", "blocks")

    def fits(self, name: str, use: WeightUse) -> bool:
        if self.quantizes and not use.quantizable:
            return False
        if self.max_values is not None and prod(use.shape) > self.max_values:
            return False
        return any(fnmatchcase(name, pattern) for pattern in self.match)


@dataclass(frozen=True)
class Recipe:
    """Rules in order; a weight that none fits stays float32."""

    name: str
    rules: tuple[Rule, ...]
    data: RecipeRecord
    """The recipe as it was written, which the manifest records."""

    @property
    def calibrated(self) -> bool:
        """True if rounding needs to know what the weights are multiplied with."""
        return any(rule.quantizes and rule.rounding == "gptq" for rule in self.rules)

    def rule_for(self, name: str, use: WeightUse) -> Rule:
        """Return the first rule that fits."""
        return next((rule for rule in self.rules if rule.fits(name, use)), _KEEP_FLOAT32)

    def choose(self, uses: Mapping[str, WeightUse]) -> dict[str, Rule]:
        """Return the rule of every weight; RecipeError where nothing would change."""
        chosen = {name: self.rule_for(name, use) for name, use in uses.items()}
        quantizing = any(rule.quantizes for rule in self.rules)
        touched = [
            rule
            for rule in chosen.values()
            if (rule.quantizes if quantizing else rule.treat == "float16")
        ]
        if not touched:
            tried = [p for rule in self.rules if rule.treat != "float32" for p in rule.match]
            matrices = [name for name, use in uses.items() if use.quantizable]
            raise RecipeError(
                f"recipe {self.name} matches nothing of this model",
                got=", ".join(map(repr, tried[:4])) or "rules that keep float32",
                expected=f"patterns of weights such as {', '.join(matrices[:2] or list(uses)[:2])}",
                next_step="adjust `match` of its rules.",
            )
        return chosen


_KEEP_FLOAT32 = Rule(("*",), "float32")


def bundled_recipes() -> list[str]:
    return sorted(file.stem for file in (_HERE / "bundled").glob("*.json"))


def bundled_recipe(name: str) -> Recipe:
    """Return one of the recipes in bundled/."""
    return read_recipe(_HERE / "bundled" / f"{name}.json")


def read_recipe(file: Path) -> Recipe:
    """Return a recipe from its file; RecipeError, in one line, for whatever is wrong with it."""
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise RecipeError(
                f"{file} is too large for a recipe", got=f"{file.stat().st_size} bytes"
            )
        data = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(
            f"recipe {file} can't be read", got=error.strerror, next_step="check the path."
        ) from error
    except (ValueError, RecursionError) as error:
        raise RecipeError(
            f"recipe {file} is not JSON", got=reason_of(error), next_step="mend it there."
        ) from error
    return parse_recipe(data, str(file))


def parse_recipe(data: object, what: str = "the recipe") -> Recipe:
    """Return a recipe from its JSON; what: its name in an error."""
    errors = sorted(_validator().iter_errors(data), key=_prominence)
    if errors:
        raise _refusal(errors[0], what)
    record = cast(RecipeRecord, data)
    rules = cast(list[RuleRecord], record["rules"])
    read = tuple(_rule(rule, index, what) for index, rule in enumerate(rules))
    return Recipe(record["name"], read, record)


def _rule(data: RuleRecord, index: int, what: str) -> Rule:
    match = data["match"]
    if data.get("signed") and not data.get("symmetric", True):
        raise RecipeError(
            f"{what} contradicts itself",
            got=f"rules/{index}: signed without symmetric",
            expected="signed values around 0, or unsigned ones with a zero point",
            next_step="drop one of them.",
        )
    if data.get("reduced") and not data.get("signed"):
        raise RecipeError(
            f"{what} contradicts itself",
            got=f"rules/{index}: reduced without signed",
            expected="reduced for signed values: others never saturate",
            next_step="drop it, or add signed.",
        )
    return Rule(
        match=(match,) if isinstance(match, str) else tuple(match),
        treat=data["treat"],
        max_values=data.get("max_values"),
        bits=data.get("bits", Rule.bits),
        block=data.get("block"),
        symmetric=data.get("symmetric", Rule.symmetric),
        signed=data.get("signed", Rule.signed),
        reduced=data.get("reduced", Rule.reduced),
        rounding=data.get("rounding", Rule.rounding),
    )


@cache
def _validator() -> Draft202012Validator:
    schema = json.loads((_HERE / "recipe.schema.json").read_text(encoding="utf-8"))
    return Draft202012Validator(schema)


def _prominence(error: ValidationError) -> tuple[int, str]:
    return len(error.absolute_path), "/".join(map(str, error.absolute_path))


def _refusal(error: ValidationError, what: str) -> RecipeError:
    place = "/".join(map(str, error.absolute_path))
    schema = error.schema if place and isinstance(error.schema, Mapping) else {}
    return RecipeError(
        f"{what} isn't a recipe",
        got=f"at {place or 'the top'}: {error.message[:160]}",
        expected=schema.get("description"),
        next_step="see docs/recipes.md for what a recipe says.",
    )
