// The fields of a link that say what the reader asks of an analysis: the attribution, the patching sweep, the tree of
// paths. Each says that the analysis is open, but for the sweep, whose form is filled in and which the reader runs.
import type { Metric } from '../analysis/metrics';
import { LARGEST_SEARCH } from '../analysis/path_search';
import { SWEPT, type Swept } from '../analysis/swept_places';
import type { Ignore } from './activation_ranges';
import type { Field } from './field';

/** The logit that is attributed. The position and the head are the selected ones, which have fields of their own. */
export interface LinkedAttribution {
  /** Null for the likeliest next token. */
  readonly answer: number | null;
  readonly other: number | 'second' | 'none';
  /** Layer whose neurons are listed. */
  readonly neuronsOf: number | null;
  /** Token of which the reader asks what the selected head takes from it. */
  readonly key: number | null;
}

export interface LinkedSweep {
  readonly text: string;
  readonly over: Swept;
  readonly metric: Metric['metric'];
  readonly answer: string;
  readonly other: string;
}

export interface LinkedTree {
  readonly depth: number;
  readonly width: number;
}

const METRICS = ['logit-difference', 'divergence'] as const satisfies Metric['metric'][];
/** Characters of a sweep's text, and of a word that names a token. */
const MAX_TEXT = 5000;
const MAX_WORD = 80;

/** `best_none`, `120_second`, and behind it `n3` for the neurons of layer 3 and `k5` for what token 5 gives. */
export const attributionField: Field<LinkedAttribution | null> = {
  key: 'attr',
  byDefault: null,
  parse: (text, ignore) => {
    const [answer = '', other = '', ...more] = text.split('_');
    const isAnswer = /^(best|\d{1,9})$/.test(answer);
    if (!isAnswer || !/^(none|second|\d{1,9})$/.test(other)) return null;
    let [neuronsOf, key]: (number | null)[] = [null, null];
    for (const part of more) {
      const place = /^([nk])(\d{1,6})$/.exec(part);
      if (place?.[1] === 'n' && neuronsOf === null) neuronsOf = Number(place[2]);
      else if (place?.[1] === 'k' && key === null) key = Number(place[2]);
      else ignore(part);
    }
    return {
      answer: answer === 'best' ? null : Number(answer),
      other: other === 'none' || other === 'second' ? other : Number(other),
      ...{ neuronsOf: neuronsOf ?? null, key: key ?? null },
    };
  },
  format: ({ answer, other, neuronsOf, key }) =>
    [
      ...[answer ?? 'best', other],
      ...(neuronsOf === null ? [] : [`n${neuronsOf}`]),
      ...(key === null ? [] : [`k${key}`]),
    ].join('_'),
};

/** JSON with the text and whatever is not the form's own choice. */
export const sweepField: Field<LinkedSweep | null> = {
  key: 'sweep',
  byDefault: null,
  parse: (text, ignore) => {
    let given: unknown;
    try {
      given = JSON.parse(text);
    } catch {
      return null;
    }
    if (typeof given !== 'object' || given === null || Array.isArray(given)) return null;
    const { text: second, ...fields } = given as Record<string, unknown>;
    if (typeof second !== 'string' || second === '' || second.length > MAX_TEXT) return null;
    return sweepOf(second, fields, ignore);
  },
  format: ({ text, over, metric, answer, other }) =>
    JSON.stringify({
      text,
      ...(over !== SWEPT[0] && { over }),
      ...(metric !== METRICS[0] && { metric }),
      ...(answer !== '' && { answer }),
      ...(other !== '' && { other }),
    }),
};

/** Read what can be read of a sweep, and pass the rest to `ignore`. */
function sweepOf(text: string, fields: Record<string, unknown>, ignore: Ignore): LinkedSweep {
  const left = new Map(Object.entries(fields));
  const take = <Value>(
    name: string,
    read: (value: unknown) => Value | undefined,
  ): Value | undefined => {
    const found = left.has(name) ? read(left.get(name)) : undefined;
    if (found !== undefined) left.delete(name);
    return found;
  };
  const word = (value: unknown): string | undefined =>
    typeof value === 'string' && value.length <= MAX_WORD ? value : undefined;
  const sweep = {
    text,
    over: take('over', (value) => SWEPT.find((over) => over === value)) ?? SWEPT[0],
    metric: take('metric', (value) => METRICS.find((metric) => metric === value)) ?? METRICS[0],
    answer: take('answer', word) ?? '',
    other: take('other', word) ?? '',
  };
  for (const [name, value] of left) ignore(JSON.stringify({ [name]: value }).slice(0, MAX_WORD));
  return sweep;
}

/** `5.4`: tokens ahead, paths kept. */
export const treeField: Field<LinkedTree | null> = {
  key: 'tree',
  byDefault: null,
  parse: (text) => {
    const parts = /^([1-9]\d?)\.([1-9]\d?)$/.exec(text);
    const [depth, width] = [Number(parts?.[1]), Number(parts?.[2])];
    return depth <= LARGEST_SEARCH.depth && width <= LARGEST_SEARCH.width ? { depth, width } : null;
  },
  format: ({ depth, width }) => `${depth}.${width}`,
};
