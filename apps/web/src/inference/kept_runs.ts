// A run that the reader keeps: what it takes to compute it again, and no number that it gave. Reads and writes the list
// of kept runs as links carry it, within limits: what a link leaves out is counted in it.
import { oneLine } from '../contract/one_line';
import { fitsLink, formatListed, parseListed, type ListedEdit } from './listed_edits';

/** The origin of a run's model, as links name it. */
export interface RunModel {
  /** Name of the manifest, for the reader. */
  readonly name: string;
  /** Digest of its weights; empty for a model that has none. */
  readonly digest: string;
  /** Name in the host's list; null for the page's own model and for one that is opened by an address. */
  readonly listed: string | null;
  /** Address that `?model=` has; null where the link has none. */
  readonly address: string | null;
  /** Address that stands for the visitor's own files, which no link opens; else null. */
  readonly files: string | null;
}

export interface KeptRun {
  /** Given by the reader, or by the page until then. */
  readonly name: string;
  readonly model: RunModel;
  readonly variant: string;
  readonly text: string;
  /** Ids of the text's tokens where the tokenizer would make others of it; else null. */
  readonly ids: readonly number[] | null;
  /** Number of those ids that were typed; null where all were. */
  readonly typed: number | null;
  /** True where the tokens that go before every text were taken away. */
  readonly withoutFirst: boolean;
  readonly edits: readonly ListedEdit[];
}

/** The kept runs of a link, and how many it left out. */
export interface LinkedRuns {
  readonly runs: readonly KeptRun[];
  readonly leftOut: number;
}

export const MAX_RUNS = 24;
export const MAX_NAME = 80;
/** Characters of all runs in an address, escaped: the text and the edits need room beside them. */
const MAX_LENGTH = 16_000;
const MAX_TEXT = 5000;
const MAX_IDS = 1024;

/** Return whether a link can carry a run: no numbers of its own, no files of this device, no long text. */
export function fitsLinkAlone({ model, text, ids, edits }: KeptRun): boolean {
  return (
    model.files === null &&
    text.length <= MAX_TEXT &&
    (ids?.length ?? 0) <= MAX_IDS &&
    edits.every(fitsLink)
  );
}

/** Divide the runs into those that a link carries, the first ones first, and those that it leaves out. */
export function runsForLink(runs: readonly KeptRun[]): LinkedRuns & {
  readonly others: readonly KeptRun[];
} {
  const carried: KeptRun[] = [];
  const others: KeptRun[] = [];
  let length = 0;
  for (const run of runs) {
    const more = encodeURIComponent(JSON.stringify(recordOf(run))).length;
    const fits = fitsLinkAlone(run) && carried.length < MAX_RUNS && length + more <= MAX_LENGTH;
    (fits ? carried : others).push(run);
    if (fits) length += more;
  }
  return { runs: carried, others, leftOut: others.length };
}

export function formatRuns({ runs, leftOut }: LinkedRuns): string {
  return JSON.stringify({ runs: runs.map(recordOf), ...(leftOut > 0 && { out: leftOut }) });
}

/** Read a link's runs; null for text that is no list of runs. What is no run is passed to `ignore`. */
export function parseRuns(text: string, ignore: (part: string) => void): LinkedRuns | null {
  if (text.length > MAX_LENGTH) return null;
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isRecord(document) || !Array.isArray(document['runs'])) return null;
  const records = document['runs'] as readonly unknown[];
  const { out = 0 } = document;
  if (records.length > MAX_RUNS || !isCount(out)) return null;
  const runs: KeptRun[] = [];
  for (const record of records) {
    const run = runFrom(record, ignore);
    if (run === null) ignore(oneLine(JSON.stringify(record)).slice(0, 200));
    else runs.push(run);
  }
  return { runs, leftOut: out };
}

/** The keys of a run in a link are short: there may be many. Absent fields have their default. */
function recordOf({
  name,
  model,
  variant,
  text,
  ids,
  typed,
  withoutFirst,
  edits,
}: KeptRun): object {
  return {
    n: name,
    m: model.name,
    ...(model.digest !== '' && { d: model.digest }),
    ...(model.listed !== null && { l: model.listed }),
    ...(model.address !== null && { u: model.address }),
    v: variant,
    p: text,
    ...(ids !== null && { ids }),
    ...(typed !== null && { typed }),
    ...(withoutFirst && { bare: true }),
    ...(edits.length > 0 && { e: JSON.parse(formatListed(edits)) as unknown }),
  };
}

function runFrom(given: unknown, ignore: (part: string) => void): KeptRun | null {
  if (!isRecord(given)) return null;
  const { n, m, d = '', l = null, u = null, v, p, ids = null, typed = null, bare = false } = given;
  const texts = [n, m, d, v, p];
  if (!texts.every((text) => typeof text === 'string')) return null;
  const [name = '', model = '', digest = '', variant = '', text = ''] = texts;
  if (!isTextOrNull(l) || !isTextOrNull(u)) return null;
  if (name.length > MAX_NAME || model.length > MAX_FACT || digest.length > MAX_FACT) return null;
  if (variant.length > MAX_FACT || text.length > MAX_TEXT || typeof bare !== 'boolean') return null;
  if (ids !== null && !(Array.isArray(ids) && ids.length <= MAX_IDS && ids.every(isCount)))
    return null;
  if (typed !== null && !(isCount(typed) && typed <= (ids?.length ?? -1))) return null;
  const edits = given['e'] === undefined ? [] : parseListed(JSON.stringify(given['e']), ignore);
  if (edits === null) return null;
  return {
    name: oneLine(name),
    model: {
      ...{ name: oneLine(model), digest, files: null },
      listed: l,
      address: u,
    },
    ...{ variant, text, ids: ids as readonly number[] | null, typed, withoutFirst: bare, edits },
  };
}

/** Characters of a name, an address' digest or a variant, more than any has. */
const MAX_FACT = 200;

function isTextOrNull(value: unknown): value is string | null {
  return value === null || typeof value === 'string';
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 2 ** 31;
}
