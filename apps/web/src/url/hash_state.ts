// Reads and writes the page's state in the address after #, so that a link shows the same view. No DOM. One row for each
// field: fields.ts.
import type { Ignore } from './activation_ranges';
import type { Field } from './field';
import { FIELDS, MAX_IDS, MAX_PROMPT, type FieldName, type HashState } from './fields';

export type { HashState };

/** Version of the table of fields that this page writes; links without a version are of version 1. */
const VERSION = 1;
const VERSION_KEY = 'link';
/** Maximum length of an address: browsers and the programs that links pass through limit it. */
export const MAX_ADDRESS = 64_000;

/** Something that a link says and that the page leaves out. */
export interface Ignored {
  /** Null where the page knows no field of this key. */
  readonly name: FieldName | null;
  readonly key: string;
  readonly text: string;
}

export interface ReadHash {
  readonly state: HashState;
  /** Fields that could not be read, in the link's order. */
  readonly ignored: readonly Ignored[];
  /** True where a later version of the page may have written the link. */
  readonly isNewer: boolean;
}

const NAMES = Object.keys(FIELDS) as FieldName[];
const NAME_BY_KEY = new Map(NAMES.map((name) => [FIELDS[name].key, name]));

/** The state of a link that carries none. The table has a row for every field, which its type says. */
export const NOTHING_LINKED = Object.fromEntries(
  NAMES.map((name) => [name, FIELDS[name].byDefault]),
) as unknown as HashState;

/** Read the address after #. Never throws: what cannot be read is told, and the rest is read. */
export function readHash(hash: string): ReadHash {
  const text = hash.replace(/^#/, '');
  // A place on the page, as in #compare, says nothing of the state.
  if (!text.includes('=')) return { state: NOTHING_LINKED, ignored: [], isNewer: false };
  const state = { ...NOTHING_LINKED };
  const given = new Set<FieldName>();
  const ignored: Ignored[] = [];
  let isNewer = false;
  for (const [key, value] of new URLSearchParams(text)) {
    const name = NAME_BY_KEY.get(key) ?? null;
    const ignore = (part: string): void => {
      ignored.push({ name, key, text: part });
    };
    if (key === VERSION_KEY) {
      if (!/^[1-9]\d{0,5}$/.test(value)) ignore(value);
      else isNewer ||= Number(value) > VERSION;
    } else if (name === null || given.has(name)) ignore(value);
    else {
      given.add(name);
      read(state, name, value, ignore);
    }
  }
  return { state: withTyped(state, ignored), ignored, isNewer };
}

// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- it ties a row to its field
function read<Name extends FieldName>(
  state: { -readonly [Each in FieldName]: HashState[Each] },
  name: Name,
  text: string,
  ignore: Ignore,
): void {
  const { parse }: Field<HashState[Name]> = FIELDS[name];
  const value = parse(text, ignore);
  if (value === null) ignore(text);
  else state[name] = value;
}

export function parseHash(hash: string): HashState {
  return readHash(hash).state;
}

/** Keep the number of typed ids within the ids, and drop it where there are none. */
function withTyped(state: HashState, ignored: Ignored[]): HashState {
  const { ids, typed } = state;
  if (typed === null || typed <= (ids?.length ?? -1)) return state;
  ignored.push({ name: 'typed', key: FIELDS.typed.key, text: String(typed) });
  return { ...state, typed: ids === null ? null : ids.length };
}

/** Write the state, without the leading #; empty where every field has its default. */
export function formatHash(state: Partial<HashState>): string {
  const texts = NAMES.flatMap((name) => {
    const text = textOf(name, state);
    return text === null ? [] : [[FIELDS[name].key, text]];
  });
  if (texts.length === 0) return '';
  return new URLSearchParams([[VERSION_KEY, String(VERSION)], ...texts]).toString();
}

/** Return what a link says of a field; null where the field has its default. */
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- it ties a row to its field
function textOf<Name extends FieldName>(name: Name, state: Partial<HashState>): string | null {
  const { byDefault, format }: Field<HashState[Name]> = FIELDS[name];
  const value = state[name] ?? null;
  if (value === null) return null;
  const text = format(value);
  return byDefault !== null && text === format(byDefault) ? null : text;
}

/** Return whether a link can carry this text and all its ids. */
export function fitsLink(text: string, ids: readonly number[] | null): boolean {
  return text.length <= MAX_PROMPT && (ids?.length ?? 0) <= MAX_IDS;
}

/** Return a part after # for the page by itself, where it stands inside another one. */
export function standingAlone(hash: string): string {
  const fields = new URLSearchParams(hash);
  fields.delete(FIELDS.embed.key);
  return fields.toString();
}

/** Return a part after # with these fields, by their keys, and its others; null takes one away. */
export function withFields(hash: string, fields: Readonly<Record<string, string | null>>): string {
  const changed = new URLSearchParams(hash);
  for (const [key, value] of Object.entries(fields)) {
    if (value === null) changed.delete(key);
    else changed.set(key, value);
  }
  return changed.toString();
}

/** Return the state without the text and its ids, for an address that would be too long. */
export function withoutText(state: HashState): HashState {
  return { ...state, prompt: null, ids: null, typed: null };
}
