// The page's list of edits: each with a switch, and with the texts or tokens that its numbers come from, if they do.
// session/text_numbers.ts computes the numbers. Reads and writes the list as links carry it: JSON of edits in the wire
// form, with `from` in the place of numbers and `off` for those that are switched off.
import { oneLine } from '../contract/one_line';
import type { ModelShape } from '../contract/generated';
import { checkEdit } from './check_edits';
import { editFromJson } from './edit_json';
import { EditError, type Edit, type Numbers } from './edits';
import { isEdit, type HeadRef, type Intervention } from './interventions';
import { applicable } from './joint_edits';

/** The token whose logit a direction raises, and the one whose logit it lowers where there are two. */
export type TokenDirection = readonly [towards: number, away?: number];

/** Numbers from a run of the reader's texts at the edit's joint, or from the unembedding's columns for tokens. */
export type TextNumbers =
  /** The direction of tokens' logits in the stream, with length 1. */
  | { readonly unembedding: TokenDirection }
  /** The first text's value at its last token, minus the second's. */
  | { readonly difference: readonly [towards: string, away: string] }
  /** The text's values, token by token. */
  | { readonly text: string }
  /** The text's value at one token, after a layer that may be another than the edit's. */
  | { readonly text: string; readonly at: number; readonly layer: number }
  /** The mean of the text's values over its tokens. */
  | { readonly mean: string };

/** The feature of a dictionary whose numbers an edit has. */
export interface FeatureNumbers {
  readonly feature: { readonly dictionary: string; readonly feature: number };
}

export interface ListedEdit {
  /** Its numbers are 0 where they come from texts. */
  readonly edit: Intervention;
  /** The source of its numbers; null for those that are the reader's own, or none. */
  readonly from: TextNumbers | FeatureNumbers | null;
  readonly isOn: boolean;
}

/** Joints whose values a text gives. */
const replaced: ReadonlySet<string> = new Set([
  ...['resid_pre', 'attn_z', 'attn_output', 'mlp_act', 'mlp_output', 'resid_post'],
]);
/** Characters of one text of a link's edit. */
const MAX_TEXT = 5000;
const MAX_EDITS = 64;
const MAX_TOKEN_ID = 1e9;
/** More tokens or layers than any model has; which there are, the model says. */
const MAX_COUNT = 2 ** 20;

export function listed(edit: Intervention, from: ListedEdit['from'] = null): ListedEdit {
  return { edit, from, isOn: true };
}

/** Return what an entry's numbers have to be computed from; null where the edit has them. */
export function textNumbersOf({ from }: Pick<ListedEdit, 'from'>): TextNumbers | null {
  return from === null || 'feature' in from ? null : from;
}

/** Return the edit with the numbers that its texts gave. */
export function withNumbers(edit: Intervention, numbers: Numbers): Intervention {
  if (!isEdit(edit)) return edit;
  if (edit.edit === 'add') return { ...edit, vector: numbers };
  return edit.edit === 'replace' ? { ...edit, value: numbers } : edit;
}

/** Return the one head that an edit switches off at every token; null for any other edit. */
export function headOff({ edit, from }: ListedEdit): HeadRef | null {
  if (from !== null || !isEdit(edit) || edit.edit !== 'scale' || edit.joint !== 'attn_z')
    return null;
  const { layer, head, factor = 0, neuron, position, key, row } = edit;
  const isEverywhere = [neuron, position, key, row].every((given) => given === undefined);
  const one = typeof head === 'number' ? head : head?.length === 1 ? head[0] : undefined;
  return isEverywhere && factor === 0 && one !== undefined ? [layer, one] : null;
}

/**
 * Return whether a model of this shape has a place for the edit, its tokens, and the layer that its numbers come from.
 */
export function fits({ edit, from }: ListedEdit, shape: ModelShape): boolean {
  const hasLayer = from === null || !('layer' in from) || from.layer < shape.layers;
  const hasTokens = tokensIn(from).every((id) => id < shape.vocab);
  return hasLayer && hasTokens && applicable([edit], shape).length > 0;
}

/** List the tokens that an entry names. */
export function tokensIn(from: ListedEdit['from']): readonly number[] {
  if (from === null || !('unembedding' in from)) return [];
  return from.unembedding.filter((id) => id !== undefined);
}

/** Return whether a link can carry the edit: it has no numbers but those of a text, and few others. */
export function fitsLink(entry: ListedEdit): boolean {
  const { edit } = entry;
  if (!isEdit(edit)) return false;
  const from = textNumbersOf(entry);
  if (from !== null) return textsOf(from).every((text) => text.length <= MAX_TEXT);
  return edit.edit === 'scale' || edit.edit === 'knock-out';
}

export function textsOf(from: TextNumbers): readonly string[] {
  if ('difference' in from) return from.difference;
  if ('unembedding' in from) return [];
  return ['mean' in from ? from.mean : from.text];
}

/** Return a list for a link; edits that no link can carry are left out. */
export function formatListed(list: readonly ListedEdit[]): string {
  return JSON.stringify(
    list.filter(fitsLink).map(({ edit, from, isOn }) => {
      const said = { ...edit, ...(from !== null && { from }), ...(!isOn && { off: true }) };
      return from === null ? said : { ...said, vector: undefined, value: undefined };
    }),
  );
}

/** Read a link's list; null for text that is no list. What is no edit is passed to `ignore`. */
export function parseListed(text: string, ignore: (part: string) => void): ListedEdit[] | null {
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    return null;
  }
  if (!Array.isArray(list) || list.length > MAX_EDITS) return null;
  const read: ListedEdit[] = [];
  for (const entry of list as unknown[]) {
    const found = listedFrom(entry);
    if (found === null) ignore(oneLine(JSON.stringify(entry)));
    else read.push(found);
  }
  return read;
}

function listedFrom(entry: unknown): ListedEdit | null {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) return null;
  const { from, off, ...record } = entry as Record<string, unknown>;
  if (off !== undefined && typeof off !== 'boolean') return null;
  const texts = from === undefined ? null : textNumbersFrom(from);
  if (from !== undefined && texts === null) return null;
  const field = record['edit'] === 'add' ? 'vector' : 'value';
  if (texts !== null && !isFitFor(texts, record)) return null;
  const full = texts === null ? record : { ...record, [field]: 0 };
  try {
    const edit: Edit = editFromJson(full);
    // Numbers at all places of a batch make no sense for the page's one text.
    if (edit.row !== undefined) return null;
    return { edit, from: texts, isOn: off !== true };
  } catch (error) {
    if (error instanceof EditError) return null;
    throw error;
  }
}

/** Return whether an edit takes numbers of texts in this way, and brings none of its own. */
function isFitFor(
  from: TextNumbers,
  { edit, joint, vector, value }: Record<string, unknown>,
): boolean {
  if (vector !== undefined || value !== undefined || typeof joint !== 'string') return false;
  if ('difference' in from || 'unembedding' in from)
    return edit === 'add' && joint === 'resid_post';
  // One token's stream stands for that of each token that the edit names.
  if ('at' in from) return edit === 'replace' && joint === 'resid_post';
  return edit === 'replace' && replaced.has(joint);
}

function textNumbersFrom(given: unknown): TextNumbers | null {
  if (typeof given !== 'object' || given === null) return null;
  const isText = (text: unknown): text is string =>
    typeof text === 'string' && text !== '' && text.length <= MAX_TEXT;
  if ('at' in given) return textTokenFrom(given, isText);
  const [[name, value] = [], ...more] = Object.entries(given) as [string, unknown][];
  if (more.length > 0) return null;
  if (name === 'difference' && Array.isArray(value)) {
    const [towards, away, ...others] = value as unknown[];
    if (others.length > 0 || !isText(towards) || !isText(away)) return null;
    return { difference: [towards, away] };
  }
  if (name === 'unembedding') return tokenDirectionFrom(value);
  if (!isText(value)) return null;
  if (name === 'mean') return { mean: value };
  return name === 'text' ? { text: value } : null;
}

function tokenDirectionFrom(value: unknown): TextNumbers | null {
  if (!Array.isArray(value)) return null;
  const [towards, away, ...others] = value as unknown[];
  const isToken = (id: unknown): id is number =>
    typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < MAX_TOKEN_ID;
  if (others.length > 0 || !isToken(towards)) return null;
  if (value.length === 1) return { unembedding: [towards] };
  return isToken(away) && away !== towards ? { unembedding: [towards, away] } : null;
}

function textTokenFrom(
  given: object,
  isText: (text: unknown) => text is string,
): TextNumbers | null {
  const { text, at, layer, ...more } = given as Record<string, unknown>;
  const isCount = (value: unknown): value is number =>
    typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < MAX_COUNT;
  if (Object.keys(more).length > 0 || !isText(text) || !isCount(at) || !isCount(layer)) return null;
  return { text, at, layer };
}

/** Switch a head off, or back to what it was trained to do, by the entry that there is or a new one. */
export function withHeadToggled(
  list: readonly ListedEdit[],
  [layer, head]: HeadRef,
): readonly ListedEdit[] {
  const isOfHead = (entry: ListedEdit): boolean => {
    const off = headOff(entry);
    return off !== null && off[0] === layer && off[1] === head;
  };
  if (list.some((entry) => entry.isOn && isOfHead(entry)))
    return list.filter((entry) => !isOfHead(entry));
  if (list.some(isOfHead))
    return list.map((entry) => (isOfHead(entry) ? { ...entry, isOn: true } : entry));
  return [...list, listed({ edit: 'scale', joint: 'attn_z', layer, head, factor: 0 })];
}

/** Check an edit of the list against a model. Throws an EditError with the field at fault. */
export function checkListed({ edit }: ListedEdit, shape: ModelShape): void {
  if (isEdit(edit)) checkEdit(edit, shape);
}
