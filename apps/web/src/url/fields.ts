// The table of the address: each part of the page's state with its key in a link, how it is read and written, and its
// default, which no link carries. Reading and writing whole links: hash_state.ts.
import { PLAIN_ATTENTION, type AttentionShown } from '../analysis/attention_maps';
import { ALL_HEADS, type HeadsShown } from '../analysis/head_roles';
import { LENS_AT_FIRST, LENS_MEASURES, type LensShown } from '../analysis/lens_measures';
import { DEFAULT_SAMPLING, type SamplingSettings } from '../analysis/sampling';
import { LARGEST_SEED } from '../analysis/seeded_random';
import { parseActivationName } from '../contract/activation_table';
import type { UnitRef } from '../contract/dashboard_unit';
import type { FeatureRef } from '../inference/dictionary_names';
import { isLanguage, type Language } from '../i18n/languages';
import { formatRuns, parseRuns, type LinkedRuns } from '../inference/kept_runs';
import { formatListed, parseListed, type ListedEdit } from '../inference/listed_edits';
import { namesLesson } from '../lessons/lesson_name';
import { expandNames, packNames } from './activation_ranges';
import type { Field } from './field';
import { attentionOf, attentionText, headsOf, headsText } from './head_fields';
import {
  attributionField,
  sweepField,
  treeField,
  type LinkedAttribution,
  type LinkedSweep,
  type LinkedTree,
} from './question_fields';

/** A part of a map of tokens on tokens: `span` of them each way, from a row and a column on. */
export interface LinkedPart {
  readonly row: number;
  readonly column: number;
  readonly span: number;
}

export type LinkedHead = readonly [layer: number, head: number];

/** The page's state as a link carries it. Null lets the page decide. */
export interface HashState {
  readonly model: string | null;
  /** Variant of the model, where the reader chose it. */
  readonly variant: string | null;
  /** Variant that it is compared with. */
  readonly compared: string | null;
  /** The other run of a comparison, where it is no variant. */
  readonly other: LinkedOther | null;
  readonly prompt: string | null;
  /** Ids of the text's tokens, where they are not what the tokenizer makes of it. */
  readonly ids: readonly number[] | null;
  /** Number of those ids that were typed; the rest were generated or picked. */
  readonly typed: number | null;
  /** True where the tokens that the tokenizer puts before every text were removed. */
  readonly withoutFirst: boolean;
  /** Locked token position. */
  readonly token: number | null;
  /** Locked head. */
  readonly head: LinkedHead | null;
  readonly headsOff: readonly LinkedHead[];
  /** Edits other than a head that is off, with those that are switched off. */
  readonly edits: readonly ListedEdit[];
  /** Part of the large map that is looked at closely. */
  readonly part: LinkedPart | null;
  /** The same of the map of differences between two variants. */
  readonly comparedPart: LinkedPart | null;
  /** Activation shown in the strip view. */
  readonly shown: string | null;
  /** Lens that the layers are read through, where the reader chose a lens pack. */
  readonly lens: string | null;
  /** The quantity in the lens' cells. */
  readonly lensShown: LensShown;
  /** Locked neuron: its layer and its number. */
  readonly neuron: LinkedHead | null;
  /** The chosen dictionary, and its locked feature. */
  readonly feature: FeatureRef | null;
  /** The unit whose dashboard is open. */
  readonly unit: UnitRef | null;
  /** Names of the open activations, where they are not the exported ones. */
  readonly open: readonly string[] | null;
  readonly sampling: SamplingSettings;
  /** The attribution that is open. */
  readonly attributed: LinkedAttribution | null;
  /** The form of the patching sweep, where it has a text. */
  readonly sweep: LinkedSweep | null;
  /** The tree of paths that is open. */
  readonly tree: LinkedTree | null;
  readonly language: Language | null;
  readonly provider: 'webgpu' | 'wasm' | null;
  /** True where colours follow the square root. */
  readonly root: boolean | null;
  /** The way in which the overview shows heads. */
  readonly overview: HeadsShown;
  /** The way in which the attention view shows attention. */
  readonly attention: AttentionShown;
  /** Ids of the views that are folded. */
  readonly folded: readonly string[];
  /** Id of the view that is shown alone. */
  readonly alone: string | null;
  /** The runs that the reader keeps, and how many a link has no room for. */
  readonly runs: LinkedRuns;
  /** The lesson that is open: the name of one that ships with the page, or an address. */
  readonly lesson: string | null;
  /** The lesson's step, counted from 1. */
  readonly lessonStep: number | null;
  /** Colours of a page inside another one; the reader's own where it is null. */
  readonly theme: 'light' | 'dark' | null;
  /** True where the page stands inside another one, which shows a heading of its own. */
  readonly embed: boolean;
}

/** The other side of a comparison; a kept run by its place among the link's. */
export type LinkedOther =
  | { readonly kind: 'unedited' }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'run'; readonly index: number };

export type FieldName = keyof HashState;

/** Characters of a text that a link carries; a longer text is left out of it rather than cut. */
export const MAX_PROMPT = 20_000;
export const MAX_IDS = 4096;
/** Characters of the text that another is compared with. */
export const MAX_OTHER = 5000;
/** Any name that a manifest may give, in any script: it is looked up in the list of models and never made a path. */
const MODEL_NAME = /^\P{Cc}{1,128}$/u;
/** As in the list of views, which this table does not know: misfits.ts compares them. */
const VIEW_ID = /^[a-z]{1,32}$/;
/** As the manifest's schema has it, for variants and lens packs. */
const MANIFEST_NAME = /^[a-z][a-z0-9_-]{0,31}$/;

const nameField = (key: string): Field<string | null> => ({
  key,
  byDefault: null,
  parse: (text) => (MANIFEST_NAME.test(text) ? text : null),
  format: (name) => name,
});

/** A part of a map isn't checked against a map: the map keeps it inside the text that it shows. */
const partField = (key: string): Field<LinkedPart | null> => ({
  key,
  byDefault: null,
  parse: (text) => {
    const parts = /^(\d{1,6})\.(\d{1,6})\.([1-9]\d{0,5})$/.exec(text);
    if (parts === null) return null;
    return { row: Number(parts[1]), column: Number(parts[2]), span: Number(parts[3]) };
  },
  format: ({ row, column, span }) => `${row}.${column}.${span}`,
});

const countField = (key: string): Field<number | null> => ({
  key,
  byDefault: null,
  parse: (text) => (/^\d{1,6}$/.test(text) ? Number(text) : null),
  format: String,
});

/** One row a field, in the order in which links have them. */
export const FIELDS: { readonly [Name in FieldName]: Field<HashState[Name]> } = {
  model: {
    key: 'model',
    byDefault: null,
    parse: (text) => (MODEL_NAME.test(text) ? text : null),
    format: (name) => name,
  },
  variant: nameField('v'),
  compared: nameField('vs'),
  other: {
    key: 'beside',
    byDefault: null,
    parse: otherOf,
    format: (other) =>
      other.kind === 'unedited'
        ? other.kind
        : `${other.kind}.${other.kind === 'run' ? other.index : other.text}`,
  },
  prompt: {
    key: 'p',
    byDefault: null,
    parse: (text, ignore) => {
      if (text.length > MAX_PROMPT) ignore(text.slice(MAX_PROMPT));
      return text.slice(0, MAX_PROMPT);
    },
    format: (text) => text,
  },
  ids: {
    key: 'ids',
    byDefault: null,
    parse: (text) => {
      if (!/^\d{1,9}(\.\d{1,9})*$/.test(text)) return null;
      const ids = text.split('.').map(Number);
      return ids.length <= MAX_IDS ? ids : null;
    },
    format: (ids) => ids.join('.'),
  },
  typed: countField('typed'),
  withoutFirst: {
    key: 'first',
    byDefault: false,
    parse: (text) => (text === 'no' ? true : null),
    format: (isWithout) => (isWithout ? 'no' : 'yes'),
  },
  token: countField('t'),
  head: {
    key: 'h',
    byDefault: null,
    parse: headOf,
    format: (head) => head.join('.'),
  },
  headsOff: {
    key: 'off',
    byDefault: [],
    parse: (text, ignore) => {
      const parts = text.split('_');
      const heads = parts.map(headOf);
      if (heads.every((head) => head === null)) return null;
      parts.filter((_, index) => heads[index] === null).forEach(ignore);
      return heads.filter((head) => head !== null);
    },
    format: (heads) => heads.map((head) => head.join('.')).join('_'),
  },
  edits: {
    key: 'e',
    byDefault: [],
    parse: parseListed,
    format: formatListed,
  },
  part: partField('z'),
  comparedPart: partField('zvs'),
  shown: {
    key: 'a',
    byDefault: null,
    parse: (text) => (parseActivationName(text) === null ? null : text),
    format: (name) => name,
  },
  lens: nameField('lens'),
  lensShown: {
    key: 'cells',
    byDefault: LENS_AT_FIRST,
    parse: lensShownOf,
    format: ({ measure, token }) => (token === 'predicted' ? measure : `${measure}.${token}`),
  },
  neuron: {
    key: 'n',
    byDefault: null,
    parse: neuronOf,
    format: (neuron) => neuron.join('.'),
  },
  feature: {
    key: 'feature',
    byDefault: null,
    parse: featureOf,
    format: ({ dictionary, feature }) =>
      feature === null ? dictionary : `${dictionary}.${feature}`,
  },
  unit: {
    key: 'unit',
    byDefault: null,
    parse: unitOf,
    format: ({ kind, layer, unit }) => `${kind}.${layer}.${unit}`,
  },
  open: {
    key: 'open',
    byDefault: null,
    parse: expandNames,
    format: packNames,
  },
  sampling: {
    key: 's',
    byDefault: DEFAULT_SAMPLING,
    parse: samplingOf,
    format: samplingText,
  },
  attributed: attributionField,
  sweep: sweepField,
  tree: treeField,
  language: {
    key: 'lang',
    byDefault: null,
    parse: (text) => (isLanguage(text) ? text : null),
    format: (language) => language,
  },
  provider: {
    key: 'on',
    byDefault: null,
    parse: (text) => (text === 'webgpu' || text === 'wasm' ? text : null),
    format: (provider) => provider,
  },
  root: {
    key: 'c',
    byDefault: null,
    parse: (text) => (text === 'root' ? true : text === 'linear' ? false : null),
    format: (root) => (root ? 'root' : 'linear'),
  },
  overview: { key: 'heads', byDefault: ALL_HEADS, parse: headsOf, format: headsText },
  attention: { key: 'map', byDefault: PLAIN_ATTENTION, parse: attentionOf, format: attentionText },
  folded: {
    key: 'fold',
    byDefault: [],
    parse: (text, ignore) => {
      const parts = text.split('.');
      const ids = parts.filter((part) => VIEW_ID.test(part));
      if (ids.length === 0) return null;
      parts.filter((part) => !VIEW_ID.test(part)).forEach(ignore);
      return [...new Set(ids)];
    },
    format: (ids) => ids.join('.'),
  },
  alone: {
    key: 'only',
    byDefault: null,
    parse: (text) => (VIEW_ID.test(text) ? text : null),
    format: (id) => id,
  },
  runs: {
    key: 'runs',
    byDefault: { runs: [], leftOut: 0 },
    parse: parseRuns,
    format: formatRuns,
  },
  lesson: {
    key: 'lesson',
    byDefault: null,
    parse: (text) => (namesLesson(text) ? text : null),
    format: (lesson) => lesson,
  },
  lessonStep: countField('step'),
  theme: {
    key: 'theme',
    byDefault: null,
    parse: (text) => (text === 'light' || text === 'dark' ? text : null),
    format: (theme) => theme,
  },
  embed: {
    key: 'embed',
    byDefault: false,
    parse: (text) => (text === '1' ? true : null),
    format: (isEmbedded) => (isEmbedded ? '1' : '0'),
  },
};

function otherOf(text: string): LinkedOther | null {
  if (text === 'unedited') return { kind: 'unedited' };
  if (/^run\.\d{1,3}$/.test(text)) return { kind: 'run', index: Number(text.slice(4)) };
  if (!text.startsWith('text.') || text.length > MAX_OTHER + 'text.'.length) return null;
  return { kind: 'text', text: text.slice('text.'.length) };
}

function lensShownOf(text: string): LensShown | null {
  const [name, of = 'predicted', ...more] = text.split('.');
  const measure = LENS_MEASURES.find((each) => each === name);
  if (measure === undefined || more.length > 0) return null;
  if (of === 'predicted' || of === 'next') return { measure, token: of };
  return /^\d{1,9}$/.test(of) ? { measure, token: Number(of) } : null;
}

function headOf(text: string): LinkedHead | null {
  const parts = /^(\d{1,4})\.(\d{1,4})$/.exec(text);
  return parts === null ? null : [Number(parts[1]), Number(parts[2])];
}

/** Write the settings; min-p and the seed only where one is set, as older pages know three numbers. */
function samplingText({ temperature, topK, topP, minP, seed }: SamplingSettings): string {
  const more = seed !== null ? [minP, seed] : minP > 0 ? [minP] : [];
  return [temperature, topK, topP, ...more].join('_');
}

function neuronOf(text: string): LinkedHead | null {
  const parts = /^(\d{1,4})\.(\d{1,7})$/.exec(text);
  return parts === null ? null : [Number(parts[1]), Number(parts[2])];
}

/** Read a dictionary's name and a number; the manifest says which there are, and misfits.ts compares them. */
function featureOf(text: string): FeatureRef | null {
  const parts = /^([a-z][a-z0-9_]{0,31})(?:\.(\d{1,8}))?$/.exec(text);
  if (parts === null) return null;
  const [, dictionary = '', feature] = parts;
  return { dictionary, feature: feature === undefined ? null : Number(feature) };
}

/** Read a kind, a layer and a number; the manifest says which there are, and misfits.ts compares them. */
function unitOf(text: string): UnitRef | null {
  const parts = /^([a-z][a-z0-9_]{0,63})\.(\d{1,4})\.(\d{1,8})$/.exec(text);
  if (parts === null) return null;
  return { kind: parts[1] ?? '', layer: Number(parts[2]), unit: Number(parts[3]) };
}

function samplingOf(text: string): SamplingSettings | null {
  const parts = text.split('_');
  const [temperature = NaN, topK = NaN, topP = NaN, minP = 0, seed = null] = parts.map(Number);
  if (parts.length < 3 || parts.length > 5 || parts.includes('')) return null;
  if (!(minP >= 0 && minP <= 1)) return null;
  if (seed !== null && !(Number.isSafeInteger(seed) && seed >= 0 && seed <= LARGEST_SEED))
    return null;
  if (!(temperature >= 0 && temperature <= 2)) return null;
  if (!(Number.isSafeInteger(topK) && topK >= 0)) return null;
  if (!(topP > 0 && topP <= 1)) return null;
  return { temperature, topK, topP, minP, seed };
}
