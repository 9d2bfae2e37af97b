// QK attribution by runs with edits: which earlier parts of the model make a head attend from one token to another. The
// stream that enters the layer is replaced by one part at a time, and the queries and keys that the layer computes from
// it are the part's. The same in Python: oriel/analysis/qk_attribution.py. The formula is in docs/interventions.md.
import { scoreParts, scoreProducts, type Part } from '../analysis/qk_attribution';
import type { Numbers } from '../analysis/values';
import { activationName, layerShape } from '../contract/activation_table';
import type { ActivationKind, ModelShape } from '../contract/generated';
import type { Edit } from './edits';
import { arrayOf, type Given } from './run_outputs';

/** The score of one head before the softmax, from a query to a key, both token indices counted from 0. */
export interface Score {
  readonly layer: number;
  readonly head: number;
  readonly query: number;
  readonly key: number;
}

export interface ScoreParts {
  /** The parts in the order of the rows and columns of `values`; the bias is last. */
  readonly parts: readonly Part[];
  /** (parts at the query, parts at the key). */
  readonly values: Numbers;
  /** The score, which `values` sum to up to rounding. */
  readonly score: number;
}

/**
 * Runs a text with edits and returns at least the named activations, which are some of `scoreActivations`, by name.
 */
export type RunText = (
  ids: readonly number[],
  edits: readonly Edit[],
  names: readonly string[],
) => Promise<Given>;

/** Root mean square of a part as it is fed to the layer: so large that the norm's epsilon doesn't matter. */
const fedLength = 1000;

/** List the activations that the runs must give. */
export function scoreActivations(layer: number): string[] {
  const before = namesBefore(layer, ['attn_z', 'attn_output', 'mlp_output']);
  const own = namesOf(layer, ['resid_pre', 'q', 'k', 'attn_scores']);
  return [...new Set([activationName('resid_pre', 0), ...before, ...own])];
}

function namesBefore(layer: number, kinds: readonly ActivationKind[]): string[] {
  return Array.from({ length: layer }, (_, at) => namesOf(at, kinds)).flat();
}

function namesOf(layer: number, kinds: readonly ActivationKind[]): string[] {
  return kinds.map((kind) => activationName(kind, layer));
}

/** Return the number of runs that a score of this layer takes. */
export function scoreRuns(shape: ModelShape, layer: number): number {
  const heads = headsBefore(shape, layer);
  const alone = heads.length === 0 ? 0 : Math.max(...heads) + 1;
  // The text itself; four runs that measure the norm; one for each part but the bias.
  return 1 + alone + 4 + scoreParts(heads).length - 1;
}

function headsBefore(shape: ModelShape, layer: number): number[] {
  return Array.from({ length: layer }, (_, before) => layerShape(shape, before).heads);
}

/** Return edits of the same kinds of joints, so that a session can be made for them before the first run. */
export function upcomingScoreEdits(layer: number): Edit[] {
  const edit = { edit: 'replace', value: 0, layer } as const;
  return (['attn_z', 'resid_pre'] as const).map((joint) => ({ ...edit, joint }));
}

/**
 * Split one score of a text into the products of parts. With `isTogether`, runs that don't depend on each other are
 * requested at once, as runs_together.ts takes them; else each after the one before it. Throws a RangeError for a head
 * or token that doesn't exist.
 */
export async function attributeScore(
  run: RunText,
  shape: ModelShape,
  ids: readonly number[],
  score: Score,
  isTogether = false,
): Promise<ScoreParts> {
  checkScore(shape, ids.length, score);
  // Tokens after the query have no influence on the score.
  const layer = new ScoredLayer(run, shape, ids.slice(0, score.query + 1), score);
  layer.isTogether = isTogether;
  const whole = await layer.run([], scoreActivations(score.layer));
  const values = await streamParts(layer, whole);
  const { queries, keys } = await linearParts(
    layer,
    values,
    arrayOf(whole, 'resid_pre', score.layer),
  );
  const scores = arrayOf(whole, 'attn_scores', score.layer);
  return {
    parts: scoreParts(headsBefore(shape, score.layer)),
    values: scoreProducts(queries, keys, layer.scale(whole)),
    score: scores[(score.head * layer.tokens + score.query) * layer.tokens + score.key] ?? NaN,
  };
}

function checkScore(shape: ModelShape, tokens: number, { layer, head, query, key }: Score): void {
  if (!isBelow(layer, shape.layers))
    throw new RangeError(
      `the model has no such layer; got layer ${layer}; expected 0 to ${shape.layers - 1}`,
    );
  const { heads } = layerShape(shape, layer);
  if (!isBelow(head, heads))
    throw new RangeError(`no such head; got head ${head}; expected 0 to ${heads - 1}`);
  if (!isBelow(query, tokens) || !isBelow(key, query + 1))
    throw new RangeError(
      `the query doesn't see the key; got query ${query} and key ${key} of ${tokens} tokens; ` +
        "expected a key that is the query's token or before it",
    );
}

function isBelow(number: number, end: number): boolean {
  return Number.isInteger(number) && number >= 0 && number < end;
}

/** A head's query vector at the query token and key vector at the key token. */
interface Sides {
  readonly query: Float32Array;
  readonly key: Float32Array;
}

/** The text, and the layer whose score is split. */
class ScoredLayer {
  readonly shape: ModelShape;
  readonly score: Score;
  readonly tokens: number;
  readonly hidden: number;
  readonly width: number;
  isTogether = false;
  readonly #keyHead: number;
  readonly #run: RunText;
  readonly #ids: readonly number[];

  constructor(run: RunText, shape: ModelShape, ids: readonly number[], score: Score) {
    const { heads, kv_heads: keyHeads, head_dim: width } = layerShape(shape, score.layer);
    this.shape = shape;
    this.score = score;
    this.#run = run;
    this.#ids = ids;
    this.tokens = ids.length;
    this.hidden = shape.hidden;
    this.width = width;
    this.#keyHead = Math.floor(score.head / (heads / keyHeads));
  }

  run(edits: readonly Edit[], names: readonly string[]): Promise<Given> {
    return this.#run(this.#ids, edits, names);
  }

  /** Await jobs that don't depend on each other: all at once, or each after the one before it. */
  async all<Item, Result>(
    items: readonly Item[],
    job: (item: Item) => Promise<Result>,
  ): Promise<Result[]> {
    if (this.isTogether) return Promise.all(items.map(job));
    const found: Result[] = [];
    for (const item of items) found.push(await job(item));
    return found;
  }

  /** Run the layer on a stream, (tokens, hidden), and return the head's query and key. */
  async sides(stream: Float32Array): Promise<Sides> {
    const { layer, query, key } = this.score;
    const value = { shape: [1, this.tokens, this.hidden], values: stream };
    const edit: Edit = { edit: 'replace', joint: 'resid_pre', layer, value };
    const given = await this.run([edit], namesOf(layer, ['q', 'k']));
    return {
      query: this.#row(arrayOf(given, 'q', layer), this.score.head, query),
      key: this.#row(arrayOf(given, 'k', layer), this.#keyHead, key),
    };
  }

  /** Return the factor by which the head scales q · k, fitted to all pairs of tokens. */
  scale(given: Given): number {
    const { layer, head } = this.score;
    const [q, k] = [arrayOf(given, 'q', layer), arrayOf(given, 'k', layer)];
    const scores = arrayOf(given, 'attn_scores', layer);
    let [both, square] = [0, 0];
    for (let query = 0; query < this.tokens; query++)
      for (let key = 0; key <= query; key++) {
        const product = dot(this.#row(q, head, query), this.#row(k, this.#keyHead, key));
        both += product * (scores[(head * this.tokens + query) * this.tokens + key] ?? 0);
        square += product * product;
      }
    return both / square;
  }

  #row(data: Float32Array, head: number, token: number): Float32Array {
    const at = (head * this.tokens + token) * this.width;
    return data.subarray(at, at + this.width);
  }
}

/** Return the parts of the stream that enters the layer, each (tokens, hidden), in the order of scoreParts. */
async function streamParts(layer: ScoredLayer, whole: Given): Promise<Float32Array[]> {
  const before = Array.from({ length: layer.score.layer }, (_, at) => at);
  const embedding = arrayOf(whole, 'resid_pre', 0);
  if (before.length === 0) return [embedding];
  /** In each run, every layer keeps one head alone: it gives what that head adds, and the rest. */
  const alone = async (head: number): Promise<Given> =>
    layer.run(
      before.map((at): Edit => {
        const { heads, value_dim, head_dim } = layerShape(layer.shape, at);
        const width = value_dim ?? head_dim;
        const values = new Float32Array(heads * layer.tokens * width);
        const size = layer.tokens * width;
        if (head < heads)
          values.set(
            arrayOf(whole, 'attn_z', at).subarray(head * size, (head + 1) * size),
            head * size,
          );
        const value = { shape: [1, heads, layer.tokens, width], values };
        return { edit: 'replace', joint: 'attn_z', layer: at, value };
      }),
      namesBefore(layer.score.layer, ['attn_output']),
    );
  const most = Math.max(...before.map((at) => layerShape(layer.shape, at).heads));
  const heads = Array.from({ length: most }, (_, head) => head);
  const each = await layer.all([...heads, most], alone);
  const none = each.pop() ?? whole;
  const ofLayers = before.flatMap((at) => {
    const rest = arrayOf(none, 'attn_output', at);
    const heads = each
      .slice(0, layerShape(layer.shape, at).heads)
      .map((given) => arrayOf(given, 'attn_output', at).map((value, i) => value - (rest[i] ?? 0)));
    return [...heads, rest, arrayOf(whole, 'mlp_output', at)];
  });
  return [embedding, ...ofLayers];
}

/** Return the query and key of each part and, last, of the biases: (parts + 1, width). */
async function linearParts(
  layer: ScoredLayer,
  values: readonly Float32Array[],
  stream: Float32Array,
): Promise<{ queries: Numbers; keys: Numbers }> {
  const empty = new Float32Array(stream.length);
  const constant = new Float32Array(stream.length).fill(fedLength);
  const givenFirst = await layer.all([empty, constant, stream], (each) => layer.sides(each));
  const [nothing, even, real] = givenFirst as [Sides, Sides, Sides];
  // LayerNorm subtracts the mean, so it maps a constant vector to zero; RMSNorm doesn't.
  const isCentred = (['query', 'key'] as const).every(
    (side) =>
      length(less(even[side], nothing[side])) <= 1e-3 * length(less(real[side], nothing[side])),
  );
  const measured = (value: Float32Array): Measured => evenSized(value, layer.hidden, isCentred);
  const free = await layer.sides(measured(stream).fed);
  const found: Record<keyof Sides, number[]> = { query: [], key: [] };
  // Query and key are at one position or two, and each position has its own divisor.
  const places = { query: layer.score.query, key: layer.score.key } as const;
  const factors = (['query', 'key'] as const).map((side) => {
    const [moved, own] = [less(free[side], nothing[side]), less(real[side], nothing[side])];
    // The whole stream's divisor includes the norm's epsilon.
    const share = dot(moved, moved) > 0 ? dot(own, moved) / dot(moved, moved) : 0;
    const size = measured(stream).lengths[places[side]] ?? 0;
    return { side, factor: size > 0 ? share / size : 0 };
  });
  const givenParts = await layer.all(values, async (value) => {
    const { fed, lengths } = measured(value);
    return { lengths, given: await layer.sides(fed) };
  });
  for (const { lengths, given } of givenParts)
    for (const { side, factor } of factors) {
      const size = (lengths[places[side]] ?? 0) * factor;
      for (const number of less(given[side], nothing[side])) found[side].push(number * size);
    }
  found.query.push(...nothing.query);
  found.key.push(...nothing.key);
  const dims = [values.length + 1, layer.width];
  return {
    queries: { dims, data: Float64Array.from(found.query) },
    keys: { dims, data: Float64Array.from(found.key) },
  };
}

interface Measured {
  /** The same vectors scaled to one length; zero vectors stay zero. */
  readonly fed: Float32Array;
  /** The root mean square of each vector. */
  readonly lengths: Float64Array;
}

/** Scale vectors, (tokens, hidden), to the length that is fed, and subtract their mean if the norm does. */
function evenSized(value: Float32Array, hidden: number, isCentred: boolean): Measured {
  const fed = new Float32Array(value.length);
  const lengths = new Float64Array(value.length / hidden);
  for (let token = 0; token < lengths.length; token++) {
    const vector = Float64Array.from(value.subarray(token * hidden, (token + 1) * hidden));
    const mean = isCentred ? vector.reduce((sum, number) => sum + number, 0) / hidden : 0;
    const moved = vector.map((number) => number - mean);
    const size = length(moved) / Math.sqrt(hidden);
    lengths[token] = size;
    if (size > 0)
      fed.set(
        moved.map((number) => (number / size) * fedLength),
        token * hidden,
      );
  }
  return { fed, lengths };
}

function less(one: Float32Array, other: Float32Array): Float64Array {
  return Float64Array.from(one, (number, at) => number - (other[at] ?? 0));
}

function dot(one: ArrayLike<number>, other: ArrayLike<number>): number {
  let sum = 0;
  for (let at = 0; at < one.length; at++) sum += (one[at] ?? 0) * (other[at] ?? 0);
  return sum;
}

function length(vector: ArrayLike<number>): number {
  return Math.sqrt(dot(vector, vector));
}
