// Reads and writes the page's state in the address after #, so that a link shows the same view. No DOM.
import type { SamplingSettings } from '../analysis/sampling';
import type { ActivationKind } from '../contract/generated';
import { activationName, activationTable, parseActivationName } from '../contract/activation_table';

/** A part of a map of tokens on tokens: `span` of them each way, from a row and a column on. */
export interface LinkedPart {
  readonly row: number;
  readonly column: number;
  readonly span: number;
}

/** Every field may be missing: then the page decides. */
export interface HashState {
  model?: string;
  /** Variant of the model, where the reader chose it. */
  variant?: string;
  /** Variant that it is compared with. */
  compared?: string;
  prompt?: string;
  /** Ids of the text's tokens, where they are not what the tokenizer makes of it. */
  ids?: readonly number[];
  /** Number of those ids that were typed; the rest were generated or picked. */
  typed?: number;
  /** True where the tokens that the tokenizer puts before every text were removed. */
  withoutFirst?: boolean;
  /** Locked token position. */
  token?: number;
  /** Locked head. */
  head?: readonly [layer: number, head: number];
  headsOff?: readonly (readonly [layer: number, head: number])[];
  /** Part of the large map that is looked at closely. */
  part?: LinkedPart;
  /** The same of the map of differences between two variants. */
  comparedPart?: LinkedPart;
  /** Activation shown in the strip view. */
  shown?: string;
  /** Names of the open activations, where they are not the exported ones. */
  open?: readonly string[];
  sampling?: SamplingSettings;
  language?: 'en' | 'zh';
  provider?: 'webgpu' | 'wasm';
  root?: boolean;
}

/** Characters of a text that a link carries; a longer text is left out of it rather than cut. */
const MOST_PROMPT = 20_000;
const MOST_IDS = 4096;
/** Maximum length of an address: browsers and the programs that links pass through limit it. */
export const MOST_ADDRESS = 64_000;
/** Any name that a manifest may give, in any script: it is looked up in the list of models and never made a path. */
const MODEL_NAME = /^\P{Cc}{1,128}$/u;
/** As the manifest's schema has it. */
const VARIANT_NAME = /^[a-z][a-z0-9_-]{0,31}$/;

export function parseHash(hash: string): HashState {
  const fields = new URLSearchParams(hash.replace(/^#/, ''));
  const state: HashState = {};
  const model = fields.get('model');
  if (model !== null && MODEL_NAME.test(model)) state.model = model;
  const variant = fields.get('v');
  if (variant !== null && VARIANT_NAME.test(variant)) state.variant = variant;
  const compared = fields.get('vs');
  if (compared !== null && VARIANT_NAME.test(compared)) state.compared = compared;
  const prompt = fields.get('p');
  if (prompt !== null) state.prompt = prompt.slice(0, MOST_PROMPT);
  const ids = idsOf(fields.get('ids'));
  if (ids !== null) state.ids = ids;
  const typed = wholeNumber(fields.get('typed'));
  if (typed !== null && ids !== null) state.typed = Math.min(typed, ids.length);
  if (fields.get('first') === 'no') state.withoutFirst = true;
  const token = wholeNumber(fields.get('t'));
  if (token !== null) state.token = token;
  const head = headOf(fields.get('h'));
  if (head !== null) state.head = head;
  const off = (fields.get('off') ?? '').split('_').map(headOf);
  const headsOff = off.filter((entry) => entry !== null);
  if (headsOff.length > 0) state.headsOff = headsOff;
  const part = partOf(fields.get('z'));
  if (part !== null) state.part = part;
  const comparedPart = partOf(fields.get('zvs'));
  if (comparedPart !== null) state.comparedPart = comparedPart;
  const shown = fields.get('a');
  if (shown !== null && parseActivationName(shown) !== null) state.shown = shown;
  const open = fields.get('open');
  const names = expandNames(open ?? '');
  if (names.length > 0) state.open = names;
  const sampling = samplingOf(fields.get('s'));
  if (sampling !== null) state.sampling = sampling;
  const language = fields.get('lang');
  if (language === 'en' || language === 'zh') state.language = language;
  const provider = fields.get('on');
  if (provider === 'webgpu' || provider === 'wasm') state.provider = provider;
  const colours = fields.get('c');
  if (colours === 'root' || colours === 'linear') state.root = colours === 'root';
  return state;
}

/** Write the state, without the leading #; empty where every field is missing. */
export function formatHash(state: HashState): string {
  const fields = new URLSearchParams();
  if (state.model !== undefined) fields.set('model', state.model);
  if (state.variant !== undefined) fields.set('v', state.variant);
  if (state.compared !== undefined) fields.set('vs', state.compared);
  if (state.prompt !== undefined) fields.set('p', state.prompt);
  if (state.ids !== undefined) fields.set('ids', state.ids.join('.'));
  if (state.typed !== undefined) fields.set('typed', String(state.typed));
  if (state.withoutFirst === true) fields.set('first', 'no');
  if (state.token !== undefined) fields.set('t', String(state.token));
  if (state.head !== undefined) fields.set('h', state.head.join('.'));
  if (state.headsOff !== undefined && state.headsOff.length > 0)
    fields.set('off', state.headsOff.map((head) => head.join('.')).join('_'));
  if (state.part !== undefined) fields.set('z', packPart(state.part));
  if (state.comparedPart !== undefined) fields.set('zvs', packPart(state.comparedPart));
  if (state.shown !== undefined) fields.set('a', state.shown);
  if (state.open !== undefined) fields.set('open', packNames(state.open));
  if (state.sampling !== undefined)
    fields.set(
      's',
      [state.sampling.temperature, state.sampling.topK, state.sampling.topP].join('_'),
    );
  if (state.language !== undefined) fields.set('lang', state.language);
  if (state.provider !== undefined) fields.set('on', state.provider);
  if (state.root !== undefined) fields.set('c', state.root ? 'root' : 'linear');
  return fields.toString();
}

/** Return whether a link can carry this text and all its ids. */
export function fitsLink(text: string, ids: readonly number[] | null): boolean {
  return text.length <= MOST_PROMPT && (ids?.length ?? 0) <= MOST_IDS;
}

/** Return the state without the text and its ids, for an address that would be too long. */
export function withoutText(state: HashState): HashState {
  const rest = { ...state };
  delete rest.prompt;
  delete rest.ids;
  delete rest.typed;
  return rest;
}

function wholeNumber(text: string | null): number | null {
  return text !== null && /^\d{1,6}$/.test(text) ? Number(text) : null;
}

function idsOf(text: string | null): readonly number[] | null {
  if (text === null || !/^\d{1,9}(\.\d{1,9})*$/.test(text)) return null;
  const ids = text.split('.').map(Number);
  return ids.length <= MOST_IDS ? ids : null;
}

function headOf(text: string | null): readonly [number, number] | null {
  const parts = /^(\d{1,4})\.(\d{1,4})$/.exec(text ?? '');
  return parts === null ? null : [Number(parts[1]), Number(parts[2])];
}

/** Parse a part without checking it against a map: the map keeps it inside the text that it shows. */
function partOf(text: string | null): LinkedPart | null {
  const parts = /^(\d{1,6})\.(\d{1,6})\.([1-9]\d{0,5})$/.exec(text ?? '');
  return parts === null
    ? null
    : { row: Number(parts[1]), column: Number(parts[2]), span: Number(parts[3]) };
}

function packPart({ row, column, span }: LinkedPart): string {
  return `${row}.${column}.${span}`;
}

function samplingOf(text: string | null): SamplingSettings | null {
  const [temperature, topK, topP] = (text ?? '').split('_').map(Number);
  if (temperature === undefined || topK === undefined || topP === undefined) return null;
  if (!(temperature >= 0 && temperature <= 2)) return null;
  if (!(Number.isInteger(topK) && topK >= 0)) return null;
  if (!(topP > 0 && topP <= 1)) return null;
  return { temperature, topK, topP };
}

/** Write names as layers by kind: `attn_probs:0-5,8;final_norm`. */
function packNames(names: readonly string[]): string {
  const layers = new Map<ActivationKind, number[]>();
  for (const name of names) {
    const parsed = parseActivationName(name);
    if (parsed === null || parsed.kind === 'logits') continue;
    const list = layers.get(parsed.kind) ?? [];
    if (parsed.layer !== null) list.push(parsed.layer);
    layers.set(parsed.kind, list);
  }
  return [...layers]
    .map(([kind, list]) => (list.length === 0 ? kind : `${kind}:${ranges(list)}`))
    .join(';');
}

function ranges(layers: number[]): string {
  const runs: [number, number][] = [];
  for (const layer of layers.sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last?.[1] === layer - 1) last[1] = layer;
    else runs.push([layer, layer]);
  }
  return runs.map(([from, to]) => (from === to ? String(from) : `${from}-${to}`)).join(',');
}

function expandNames(text: string): string[] {
  const names: string[] = [];
  for (const part of text.split(';')) {
    const [kind, list] = part.split(':');
    const entry = activationTable.find((candidate) => candidate.kind === kind);
    if (entry === undefined) continue;
    if (!entry.per_layer) names.push(activationName(entry.kind, null));
    else
      for (const run of (list ?? '').split(',')) {
        const ends = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(run);
        if (ends === null) continue;
        const from = Number(ends[1]);
        const to = Number(ends[2] ?? ends[1]);
        for (let layer = from; layer <= to; layer++) names.push(activationName(entry.kind, layer));
      }
  }
  return names;
}
