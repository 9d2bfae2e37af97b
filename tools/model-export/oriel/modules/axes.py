"""Dynamic axes: named by path patterns, checked against the example, and the sizes that a second
input gets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from oriel.errors import ModuleError, first_few
from oriel.formats.size_names import is_sum, size_of, terms_of
from oriel.modules.paths import Path, matching, path_text, wildcard_text

DynamicAxes = Mapping[str, Mapping[int, str]]
"""{path pattern: {axis: name}}. Axes of one name have one size in every call; `a + b` is the sum of
the sizes of a and b."""


@dataclass(frozen=True)
class Axes:
    """The dynamic axes of a flat signature."""

    of_tensors: tuple[Mapping[int, str], ...]
    """For each tensor {axis: name}."""
    sizes: Mapping[str, int]
    """{name: size in the example}, in the order of the signature, of all that are no sums."""

    @property
    def sums(self) -> dict[str, int]:
        """Return {name: size in the example} of the axes whose size is the sum of others'."""
        names = [name for axes in self.of_tensors for name in axes.values() if is_sum(name)]
        return {name: size_of(name, self.sizes) for name in names}

    def second_sizes(self) -> dict[str, int]:
        """Return other sizes, and no two changes alike, so that a swapped axis shows: the first
        axis, mostly the batch, gets one more than in the example, the second two more."""
        return {name: size + 1 + at for at, (name, size) in enumerate(self.sizes.items())}


def resolve_axes(dynamic: DynamicAxes, paths: Sequence[Path], tensors: Sequence[Tensor]) -> Axes:
    """Return the axes that the patterns name.

    A `*` in an axis' name stands for what the pattern's `*` matched. Where the tensors of one name
    differ in size, each match of the pattern's `*` gets an axis of its own: voxels_0, voxels_1.
    Raises ModuleError for patterns that match nothing, axes that a tensor lacks, a size of 0 or 1
    in the example, and one name for axes of different sizes.
    """
    found = list(_named(dynamic, paths, tensors))
    sizes: dict[str, set[int]] = {}
    for row in found:
        sizes.setdefault(row.name, set()).add(row.size)
    of_tensors: list[dict[int, str]] = [{} for _ in tensors]
    one_size: dict[str, tuple[int, Path]] = {}
    for row in found:
        name = row.name
        if len(sizes[name]) > 1 and row.wildcard:
            name = f"{name}_{row.wildcard}"
        size, where = one_size.setdefault(name, (row.size, paths[row.tensor]))
        if size != row.size:
            raise ModuleError(
                f"the dynamic axis {name} has two sizes in the example",
                got=f"{size} in {path_text(where)}, {row.size} in {path_text(paths[row.tensor])}",
                expected="one size for one name",
                next_step="give the two axes different names.",
            )
        of_tensors[row.tensor][row.axis] = name
    names = [name for axes in of_tensors for _, name in sorted(axes.items())]
    ordered = {name: one_size[name][0] for name in names if not is_sum(name)}
    for name in filter(is_sum, names):
        _check_sum(name, one_size[name][0], ordered)
    return Axes(tuple(dict(sorted(axes.items())) for axes in of_tensors), ordered)


def _check_sum(name: str, size: int, sizes: Mapping[str, int]) -> None:
    """Raise ModuleError for a sum of axes that aren't there, or that don't add up to it."""
    unknown = [term for term in terms_of(name) if term not in sizes]
    if unknown:
        raise ModuleError(
            f"the size {name} is a sum of axes that aren't there",
            got=first_few(unknown),
            expected=f"some of {first_few(list(sizes), 8)}" if sizes else "dynamic axes",
        )
    if size_of(name, sizes) != size:
        raise ModuleError(
            f"the axis {name} isn't that sum in the example",
            got=str(size),
            expected=" + ".join(str(sizes[term]) for term in terms_of(name)),
        )


@dataclass(frozen=True)
class _Named:
    tensor: int
    axis: int
    name: str
    wildcard: str
    size: int


def _named(
    dynamic: DynamicAxes, paths: Sequence[Path], tensors: Sequence[Tensor]
) -> Iterator[_Named]:
    for pattern, axes in dynamic.items():
        matched = matching(pattern, paths, "a pattern of dynamic axes matches no tensor")
        for at in matched:
            for axis, name in axes.items():
                yield _one_axis(at, axis, name, (pattern, paths[at], tensors[at]))


def _one_axis(at: int, axis: int, name: str, match: tuple[str, Path, Tensor]) -> _Named:
    pattern, path, tensor = match
    if not -tensor.dim() <= axis < tensor.dim():
        raise ModuleError(
            f"{path_text(path)} has no axis {axis}",
            got=f"the shape {list(tensor.shape)}",
            expected=f"an axis below {tensor.dim()}",
        )
    if not all(term.isidentifier() for term in terms_of(name.replace("*", "_"))):
        raise ModuleError(
            f"the dynamic axis {axis} of {path_text(path)} has no usable name",
            got=repr(name),
            expected="letters, digits and _, or a sum of such names, as past + new",
        )
    axis %= tensor.dim()
    size = tensor.shape[axis]
    if size < 2:
        raise ModuleError(
            f"the dynamic axis {name} of {path_text(path)} is {size} in the example",
            expected="2 or more",
            next_step="give a larger example: torch takes a size of 0 or 1 for a constant and "
            "writes a file for that size alone.",
        )
    wildcard = wildcard_text(pattern, path)
    return _Named(at, axis, name.replace("*", wildcard), wildcard, size)


def sizes_in(axes: Axes, tensors: Sequence[Tensor]) -> dict[str, int]:
    """Return {name: size} of the dynamic axes of further inputs. Raises ModuleError where one name
    has two sizes."""
    sizes: dict[str, int] = {}
    for tensor, named in zip(tensors, axes.of_tensors, strict=True):
        for axis, name in named.items():
            if sizes.setdefault(name, tensor.shape[axis]) != tensor.shape[axis]:
                raise ModuleError(
                    f"the dynamic axis {name} has two sizes in one input",
                    got=f"{sizes[name]} and {tensor.shape[axis]}",
                    expected="one size for one name",
                )
    for name in axes.sums:
        if size_of(name, sizes) != sizes[name]:
            raise ModuleError(
                f"the axis {name} isn't that sum in one input",
                got=str(sizes[name]),
                expected=" + ".join(str(sizes[term]) for term in terms_of(name)),
            )
    return {name: sizes[name] for name in axes.sizes}


def output_axes(
    first: Sequence[Tensor], second: Sequence[Tensor], axes: Axes, other: Mapping[str, int]
) -> tuple[Mapping[int, str], ...]:
    """Return {axis: name} for each output: the axes whose size changed with the input's, under the
    name of the input's axis of those two sizes, else `dynamic_AXIS`. other: the second sizes."""
    by_change = {(size, size_of(name, other)): name for name, size in axes.sums.items()}
    by_change |= {(size, other[name]): name for name, size in axes.sizes.items()}
    named: list[Mapping[int, str]] = []
    for one, two in zip(first, second, strict=True):
        pairs = list(zip(one.shape, two.shape, strict=False))
        named.append(
            {
                at: by_change.get((a, b), f"dynamic_{at}")
                for at, (a, b) in enumerate(pairs)
                if a != b
            }
        )
    return tuple(named)
