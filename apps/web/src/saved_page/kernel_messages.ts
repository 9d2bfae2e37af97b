// Messages between a page in a notebook's output and the notebook around it. The page stands in a frame without an
// origin of its own, so both sides go by the window that a message comes from, by its form, and by the display's token.

/** A run that Python is asked for. */
export interface Question {
  /** A text to read anew; null keeps the ids. */
  readonly prompt: string | null;
  readonly ids: readonly number[];
  /** A document of contracts/edits.schema.json. */
  readonly edits: { readonly edits_version: string; readonly edits: readonly unknown[] };
  /** Contract names of the activations to give. */
  readonly activations: readonly string[];
  readonly lens: string;
}

export type FromPage =
  | { readonly oriel: 'hello'; readonly token: string }
  | { readonly oriel: 'ask'; readonly token: string; readonly question: Question };

export type ToPage =
  /** Python can be asked. */
  | { readonly oriel: 'ready'; readonly token: string }
  /** An analysis record as text. */
  | { readonly oriel: 'answer'; readonly token: string; readonly record: string }
  /** One line that says why Python did not answer. */
  | { readonly oriel: 'refused'; readonly token: string; readonly reason: string };

/** Return a message from the page of this token; null for anything else. */
export function messageFromPage(data: unknown, token: string): FromPage | null {
  if (!isOf(data, token)) return null;
  const { oriel, question } = data;
  if (oriel === 'hello') return { oriel, token };
  return oriel === 'ask' && isQuestion(question) ? { oriel, token, question } : null;
}

/** Return a message to the page of this token; null for anything else. */
export function messageToPage(data: unknown, token: string): ToPage | null {
  if (!isOf(data, token)) return null;
  const { oriel, record, reason } = data;
  if (oriel === 'ready') return { oriel, token };
  if (oriel === 'answer' && typeof record === 'string') return { oriel, token, record };
  return oriel === 'refused' && typeof reason === 'string' ? { oriel, token, reason } : null;
}

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isOf(data: unknown, token: string): data is Fields {
  return isFields(data) && data['token'] === token;
}

function isQuestion(value: unknown): value is Question {
  if (!isFields(value)) return false;
  const { prompt, ids, edits, activations, lens } = value;
  return (
    (prompt === null || typeof prompt === 'string') &&
    Array.isArray(ids) &&
    ids.every((id) => Number.isSafeInteger(id)) &&
    isFields(edits) &&
    Array.isArray(activations) &&
    activations.every((name) => typeof name === 'string') &&
    typeof lens === 'string'
  );
}
