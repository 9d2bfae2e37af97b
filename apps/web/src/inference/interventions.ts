// Interventions: the changes to a model's computation as one value, with one key. joint_edits.ts turns them into what a
// graph is fed.
import type { HeadRef } from '../analysis/head_sets';
import { closingTable } from '../contract/closing_table';
import type { ActivationKind, ClosingName } from '../contract/generated';
import {
  changesNothing,
  closingOf,
  editText,
  exactText,
  placeOf,
  type Edit,
  type ScaleEdit,
} from './edits';
import type { ClosingTensor, Span } from './joint_edit';

export type { HeadRef };

/** Puts a closing of the contract at a joint of one layer. Graphs of contract 1.x have no joints. */
export interface JointClosing {
  readonly kind: 'closing';
  readonly joint: ActivationKind;
  readonly layer: number;
  readonly closing: ClosingName;
  /** The tokens that it changes; null for every token. */
  readonly positions: Span | null;
  /**
   * By the names of the closing's inputs. They have the joint's rank, and each dimension is 1 or the joint's; that of
   * the tokens is 1 or as many as `positions` has, that of all tokens so far any number, for the first of them.
   */
  readonly tensors: Readonly<Record<string, ClosingTensor>>;
}

/** An edit as a researcher says it, or a closing with the tensors that it takes. */
export type Intervention = Edit | JointClosing;

/** Those of one joint apply in their order; scales in a row multiply, and additions add up, whatever theirs is. */
export type Interventions = readonly Intervention[];

export const noInterventions: Interventions = [];

/** The key of interventions that change nothing. */
export const neutralKey = '';

export function isEdit(entry: Intervention): entry is Edit {
  return 'edit' in entry;
}

/** Return a key that is the same for the same text, with interventions that change its computation alike. */
export function textKey(ids: readonly number[], interventions: Interventions): string {
  return JSON.stringify([ids, interventionKey(interventions, ids.length)]);
}

/**
 * Return a key that is the same for interventions that change the computation of a text alike. It depends on how many
 * tokens the text has only where positions are counted from its end.
 */
export function interventionKey(interventions: Interventions, tokens: number): string {
  const byPlace = new Map<string, string>();
  for (const entry of orderedChanges(interventions, tokens)) {
    const place = jointOf(entry);
    const text = isEdit(entry) ? editText(entry, tokens) : closingText(entry);
    // Those of one joint apply one after another, so their order is a part of the key.
    byPlace.set(place, `${byPlace.get(place) ?? place} ${text.length} ${text}`);
  }
  return [...byPlace.values()].sort().join(';') || neutralKey;
}

/** Return whether they change nothing. */
export function isNeutral(interventions: Interventions): boolean {
  return interventions.every(changesNothingAt);
}

/**
 * Return what changes something, joint by joint. Scales in a row, and additions in a row, stand in an order of their own:
 * they give the same, and rounding must not depend on who came first.
 */
export function orderedChanges(interventions: Interventions, tokens: number): Intervention[] {
  const byJoint = new Map<string, Intervention[]>();
  for (const entry of interventions) {
    if (changesNothingAt(entry)) continue;
    const joint = jointOf(entry);
    byJoint.set(joint, [...(byJoint.get(joint) ?? []), entry]);
  }
  return [...byJoint.values()].flatMap((entries) => inOwnOrder(entries, tokens));
}

function inOwnOrder(entries: readonly Intervention[], tokens: number): Intervention[] {
  const result: Intervention[] = [];
  let row: Edit[] = [];
  const close = (): void => {
    const keyed = row.map((edit) => [editText(edit, tokens), edit] as const);
    keyed.sort(([one], [other]) => (one < other ? -1 : Number(one > other)));
    result.push(...keyed.map(([, edit]) => edit));
    row = [];
  };
  for (const entry of entries) {
    const commutes = isEdit(entry) && (entry.edit === 'scale' || entry.edit === 'add');
    if (!commutes || (row[0] !== undefined && row[0].edit !== entry.edit)) close();
    if (commutes) row.push(entry);
    else result.push(entry);
  }
  close();
  return result;
}

/** Return the edits that switch these heads off. */
export function switchingOff(heads: readonly HeadRef[]): ScaleEdit[] {
  return heads.map(([layer, head]) => ({ edit: 'scale', joint: 'attn_z', layer, head, factor: 0 }));
}

/** List the heads that are switched off at every token, each once. */
export function headsOff(interventions: Interventions): HeadRef[] {
  const found = new Map<string, HeadRef>();
  for (const entry of interventions)
    if (isHeadScale(entry) && (entry.factor ?? 0) === 0)
      for (const head of headsOf(entry)) found.set(`${entry.layer}.${head}`, [entry.layer, head]);
  return [...found.values()];
}

/** Switch the head off, or back to what it was trained to do. */
export function toggledHead(interventions: Interventions, [layer, head]: HeadRef): Interventions {
  const isOff = headsOff(interventions).some(([l, h]) => l === layer && h === head);
  if (!isOff) return [...interventions, ...switchingOff([[layer, head]])];
  return interventions.flatMap((entry) => {
    if (!isHeadScale(entry) || entry.layer !== layer || !headsOf(entry).includes(head))
      return [entry];
    const others = headsOf(entry).filter((other) => other !== head);
    return others.length === 0 ? [] : [{ ...entry, head: others }];
  });
}

/** Return whether an intervention scales whole heads, which it names, at every token. */
function isHeadScale(entry: Intervention): entry is ScaleEdit {
  if (!isEdit(entry) || entry.edit !== 'scale' || entry.joint !== 'attn_z') return false;
  const { head, neuron, position, key, row } = entry;
  return head !== undefined && [neuron, position, key, row].every((given) => given === undefined);
}

function headsOf({ head }: ScaleEdit): readonly number[] {
  return head === undefined ? [] : typeof head === 'number' ? [head] : head;
}

function jointOf(entry: Intervention): string {
  const { joint, layer } = isEdit(entry) ? placeOf(entry) : entry;
  return `${joint} ${layer}`;
}

function changesNothingAt(entry: Intervention): boolean {
  return isEdit(entry) ? changesNothing(entry) : isNeutralClosing(entry);
}

/** Return the closing that an intervention becomes. */
export function closingAt(entry: Intervention): ClosingName {
  return isEdit(entry) ? closingOf[entry.edit] : entry.closing;
}

/** Return whether every input of a closing has its neutral value; one without inputs leaves its joint as it is. */
function isNeutralClosing({ closing, tensors }: JointClosing): boolean {
  const inputs = closingTable.find((entry) => entry.closing === closing)?.inputs;
  // An unknown closing is refused where it is applied.
  if (inputs === undefined) return false;
  return inputs.every(
    ({ name, neutral }) => tensors[name]?.data.every((value) => value === neutral) ?? false,
  );
}

function closingText({ closing, positions, tensors }: JointClosing): string {
  const where = positions === null ? 'all' : `${positions.start}-${positions.end}`;
  const given = Object.keys(tensors)
    .sort()
    .map((name) => {
      const { dims = [], data = new Uint8Array() } = tensors[name] ?? {};
      return `${name} ${dims.join('x')} ${data.length} ${exactText(data)}`;
    });
  return ['closing', closing, where, ...given].join(' ');
}
