// Messages between a page in a frame and the page around it. Both sides check the window and the origin that a
// message comes from before they read it here.

/** The state of the page, as its address says it. */
export interface TellsState {
  readonly oriel: 'ready' | 'change';
  /** The part after #, without the #. */
  readonly state: string;
  /** The whole address. */
  readonly link: string;
}

export type FromFrame =
  | TellsState
  /** Height in CSS pixels that shows all of it. */
  | { readonly oriel: 'size'; readonly height: number }
  /** Why the model did not open: the kind of a ModelErrorData, and a sentence in the page's language. */
  | { readonly oriel: 'error'; readonly kind: string; readonly message: string };

export type ToFrame =
  /** The first message: the page answers to this origin alone from then on. */
  | { readonly oriel: 'hello' }
  /** Follow a link of this state. */
  | { readonly oriel: 'follow'; readonly state: string }
  /** Change these fields of the state, by their keys in a link, and leave the others; null takes one away. */
  | { readonly oriel: 'set'; readonly fields: Readonly<Record<string, string | null>> };

/** Tallest frame that a page may ask for, in CSS pixels. */
const TALLEST = 100_000;
/** Longest state: as long as an address may be. */
const LONGEST = 64_000;

type Fields = Readonly<Record<string, unknown>>;

/** Return a message of a page in a frame; null for anything else. */
export function messageFromFrame(data: unknown): FromFrame | null {
  if (!isFields(data)) return null;
  const { oriel, state, link, height, kind, message } = data;
  if (oriel === 'ready' || oriel === 'change')
    return isState(state) && typeof link === 'string' ? { oriel, state, link } : null;
  if (oriel === 'size')
    return typeof height === 'number' && height > 0 && height <= TALLEST ? { oriel, height } : null;
  return oriel === 'error' && typeof kind === 'string' && typeof message === 'string'
    ? { oriel, kind, message }
    : null;
}

/** Return a message to a page in a frame; null for anything else. */
export function messageToFrame(data: unknown): ToFrame | null {
  if (!isFields(data)) return null;
  const { oriel, state, fields } = data;
  if (oriel === 'hello') return { oriel };
  if (oriel === 'set') return isFields(fields) && areTexts(fields) ? { oriel, fields } : null;
  return oriel === 'follow' && isState(state) ? { oriel, state } : null;
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function areTexts(fields: Fields): fields is Readonly<Record<string, string | null>> {
  return Object.values(fields).every((value) => value === null || isState(value));
}

function isState(value: unknown): value is string {
  return typeof value === 'string' && value.length <= LONGEST;
}
