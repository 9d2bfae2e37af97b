"""Token ids of each case, PyTorch's values for them, and the check that observing PyTorch changes
nothing. cases.py chooses the sizes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from oriel.contract.activation_names import kinds
from oriel.runtime.edits import Edit
from oriel.runtime.joint_edit import JointEdits
from oriel.runtime.onnx_graph import Arrays
from oriel.verification.cases import Case, choose_cases, choose_ids, inner_activations
from oriel.verification.compare import difference
from oriel.verification.report import Findings
from oriel.verification.run_reference import Reference

SEED = 20


class ReferenceCases:
    """Token ids of each case and PyTorch's values for them; computed once for all variants."""

    def __init__(self, reference: Reference, text: Sequence[int], budget: int) -> None:
        self.reference, self.budget = reference, budget
        self.ids = choose_ids(choose_cases(reference.shape, budget), reference.shape, text, SEED)
        self.known: dict[Case, Arrays] = {}
        self.changed: dict[str, Arrays] = {}

    @property
    def cases(self) -> list[Case]:
        """In the order of choose_cases: the longest is last."""
        return list(self.ids)

    @property
    def small(self) -> Case:
        """More than one sequence of more than one token, where the model can read as many."""
        return max(self.cases[:-1] or self.cases, key=lambda c: (min(c.batch, 2), c.seq))

    def values(self, case: Case, names: Iterable[str]) -> Arrays:
        known = self.known.setdefault(case, {})
        missing = [name for name in names if name not in known]
        if missing:
            known |= self.reference.run(self.ids[case], missing)
        return known

    def edited(self, edits: JointEdits, names: Iterable[str]) -> Arrays:
        """Return PyTorch's values with edits, for the small case. They are kept, since every
        variant of the same weights asks for the same."""
        key = hashlib.sha256()
        for edit in edits:
            key.update(f"{edit.closing} {edit.joint}".encode())
            for name, value in edit.tensors.items():
                key.update(f"{name} {value.shape}".encode() + value.tobytes())
        known = self.changed.setdefault(key.hexdigest(), {})
        missing = [name for name in names if name not in known]
        if missing:
            known |= self.reference.run(self.ids[self.small], missing, edits)
        return known

    def said(self, edits: Sequence[Edit], names: Sequence[str]) -> Arrays:
        """Return PyTorch's values with edits as users say them, for the small case; kept too."""
        key = " ".join(f"{type(edit).__name__} {vars(edit)}" for edit in edits)
        if key not in self.changed:
            self.changed[key] = self.reference.run(self.ids[self.small], names, edits)
        return self.changed[key]


def check_reference(cases: ReferenceCases, bound: float, findings: Findings) -> None:
    """Check that the hooks change nothing: they see what transformers itself returns."""
    reference, case = cases.reference, cases.small
    ids, shape = cases.ids[case], cases.reference.shape
    hidden, attentions, logits = reference.own_outputs(ids)
    names = [kinds()["resid_pre"].at(i) for i in range(shape.layers)]
    seen = cases.values(case, [s.name for s in inner_activations(shape)])
    pairs = [(name, hidden[i]) for i, name in enumerate(names)]
    # The last hidden state of transformers is after the final norm, and where the embedding has a
    # width of its own after the projection to that as well.
    if hidden[-1].shape[-1] == shape.hidden:
        pairs.append(("final_norm", hidden[-1]))
    pairs.append(("logits", logits))
    pairs += [(kinds()["attn_probs"].at(i), a) for i, a in enumerate(attentions)]
    for name, own in pairs:
        findings.measure("reference", difference(seen[name], own).relative, bound, name)
    watched = reference.run_observed(ids, (), {}).numpy()
    gap = difference(watched, logits)
    findings.measure("reference", gap.relative, bound, "logits under observation")
