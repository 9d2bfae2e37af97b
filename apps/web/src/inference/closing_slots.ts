// Decides which closings a session of an open graph has. A kind of joint gets slots in every layer at once, so that
// further edits of the kind need no new session; at first only heads have slots. bundle/onnx/closing_bytes.ts writes the
// nodes.
import type { ClosedJoint } from '../bundle/onnx/closing_bytes';
import { parseActivationName } from '../contract/activation_table';
import type { ActivationKind, ClosingName, TensorSpec } from '../contract/generated';
import type { JointEdit } from './joint_edit';

/** The closings at every joint of a kind, in order; kinds without edits have none. */
export type ClosingSlots = ReadonlyMap<ActivationKind, readonly ClosingName[]>;

export const noSlots: ClosingSlots = new Map();

/**
 * Return the slots of a model's first session: scales of heads. Visitors use these most, and an unused scale costs no
 * measurable time.
 */
export function firstSlots(joints: readonly TensorSpec[] | undefined): ClosingSlots {
  const hasHeads =
    joints?.some(({ name }) => parseActivationName(name)?.kind === 'attn_z') ?? false;
  return hasHeads ? new Map([['attn_z', ['scale']]]) : noSlots;
}

/** Beyond this many closings at each joint of a kind, slots that a run does not need are given up. */
const maxSlots = 8;

type Needed = Pick<JointEdit, 'joint' | 'layer' | 'closing'>;

/** Return slots that serve these edits too: the same object where the given ones do. */
export function slotsFor(slots: ClosingSlots, edits: readonly Needed[]): ClosingSlots {
  const wider = new Map(slots);
  let isSame = true;
  for (const [joint, sequences] of sequencesOf(edits)) {
    const before = slots.get(joint) ?? [];
    let after = sequences.reduce(merged, before);
    if (after.length > maxSlots) after = sequences.reduce<readonly ClosingName[]>(merged, []);
    if (after.length === before.length && after.every((name, at) => name === before[at])) continue;
    wider.set(joint, after);
    isSame = false;
  }
  return isSame ? slots : wider;
}

/** Pair each edit with the index of its slot. Throws a RangeError where the session lacks one. */
export function placedEdits<Edit extends Needed>(
  slots: ClosingSlots,
  edits: readonly Edit[],
): (readonly [Edit, number])[] {
  const next = new Map<string, number>();
  return edits.map((edit) => {
    const place = `${edit.joint} ${edit.layer}`;
    const slot = slots.get(edit.joint)?.indexOf(edit.closing, next.get(place) ?? 0) ?? -1;
    if (slot < 0) throw new RangeError(`the session has no ${edit.closing} at ${edit.joint}`);
    next.set(place, slot + 1);
    return [edit, slot] as const;
  });
}

/** Return the joints of an open graph, each with its closings; those of kinds that are unknown here have none. */
export function closedJoints(joints: readonly TensorSpec[], slots: ClosingSlots): ClosedJoint[] {
  return joints.map((joint) => {
    const kind = parseActivationName(joint.name)?.kind;
    return { joint, closings: (kind === undefined ? undefined : slots.get(kind)) ?? [] };
  });
}

/** List, for each joint kind, the closings of each layer in order. */
function sequencesOf(edits: readonly Needed[]): Map<ActivationKind, ClosingName[][]> {
  const byPlace = new Map<string, ClosingName[]>();
  const byKind = new Map<ActivationKind, ClosingName[][]>();
  for (const { joint, layer, closing } of edits) {
    const sequence = byPlace.get(`${joint} ${layer}`);
    if (sequence !== undefined) {
      sequence.push(closing);
      continue;
    }
    const first = [closing];
    byPlace.set(`${joint} ${layer}`, first);
    byKind.set(joint, [...(byKind.get(joint) ?? []), first]);
  }
  return byKind;
}

/** Return the slots with as many more as a sequence needs to be found among them in its order. */
function merged(
  slots: readonly ClosingName[],
  sequence: readonly ClosingName[],
): readonly ClosingName[] {
  const result = [...slots];
  let from = 0;
  for (const closing of sequence) {
    const found = result.indexOf(closing, from);
    if (found < 0) result.splice(from, 0, closing);
    from = (found < 0 ? from : found) + 1;
  }
  return result;
}
