// The activations of one text, gathered from runs that each bring only the rows of newly fed tokens.
import type { RunResult, Tensor } from '../inference/model_types';

/** Rows of one activation for consecutive positions, as one run gave them. */
interface Segment {
  start: number;
  rows: number;
  /** Values of one row: for attention maps the tokens known when the run was made. */
  width: number;
  data: Tensor['data'];
}

/** One activation by its contract name: a row of numbers per position, and per head where it has heads. */
export interface ActivationSeries {
  readonly name: string;
  /** 1 where the activation has no axis of heads. */
  readonly heads: number;
  readonly length: number;
  /** Values in the widest row. */
  readonly width: number;
  /** A view into the values, not a copy. Beyond the tokens a row knew, an attention pattern is 0. */
  row(position: number, head?: number): Float32Array | Int32Array;
}

class Series implements ActivationSeries {
  readonly name: string;
  readonly heads: number;
  readonly segments: readonly Segment[];
  readonly length: number;
  readonly width: number;

  constructor(name: string, heads: number, segments: readonly Segment[]) {
    this.name = name;
    this.heads = heads;
    this.segments = segments;
    const last = segments.at(-1);
    this.length = last === undefined ? 0 : last.start + last.rows;
    this.width = segments.reduce((widest, segment) => Math.max(widest, segment.width), 0);
  }

  row(position: number, head = 0): Float32Array | Int32Array {
    // Generation appends one short segment per token, so the right one is mostly near the end.
    for (let at = this.segments.length - 1; at >= 0; at--) {
      const segment = this.segments[at];
      if (segment === undefined || position < segment.start) continue;
      if (position >= segment.start + segment.rows) break;
      const from = (head * segment.rows + (position - segment.start)) * segment.width;
      return segment.data.subarray(from, from + segment.width);
    }
    return new Float32Array(0);
  }

  get bytes(): number {
    return this.segments.reduce((sum, { data }) => sum + data.byteLength, 0);
  }

  /** Keep the rows before `start` and append a run's rows. */
  extendedBy(tensor: Tensor, start: number): Series {
    const kept: Segment[] = [];
    for (const segment of this.segments) {
      if (segment.start >= start) continue;
      if (segment.start + segment.rows <= start) kept.push(segment);
      else kept.push(cut(segment, start - segment.start, this.heads));
    }
    return new Series(this.name, this.heads, [...kept, segmentOf(tensor, start)]);
  }
}

/** Copy the first `rows` rows of every head into one segment. */
function cut(segment: Segment, rows: number, heads: number): Segment {
  const size = rows * segment.width;
  const data =
    segment.data instanceof Int32Array
      ? new Int32Array(heads * size)
      : new Float32Array(heads * size);
  for (let head = 0; head < heads; head++) {
    const from = head * segment.rows * segment.width;
    data.set(segment.data.subarray(from, from + size), head * size);
  }
  return { start: segment.start, rows, width: segment.width, data };
}

function headsOf(tensor: Tensor): number {
  return tensor.dims.length === 4 ? (tensor.dims[1] ?? 1) : 1;
}

function segmentOf(tensor: Tensor, start: number): Segment {
  return {
    start,
    rows: tensor.dims.at(-2) ?? 0,
    width: tensor.dims.at(-1) ?? 0,
    data: tensor.data,
  };
}

/** All open activations of one text under one set of interventions. Immutable. */
export class ActivationSet {
  readonly ids: readonly number[];
  /** Logits of the last position, over the whole vocabulary; of a classifier, over its labels. */
  readonly lastLogits: Float32Array;
  readonly #series: ReadonlyMap<string, Series>;

  constructor(
    ids: readonly number[],
    lastLogits: Float32Array,
    series: ReadonlyMap<string, Series>,
  ) {
    this.ids = ids;
    this.lastLogits = lastLogits;
    this.#series = series;
  }

  /** Names of the activations; a token classifier's logits of every token are there besides, as `logits`. */
  get names(): readonly string[] {
    return [...this.#series.keys()].filter((name) => name !== 'logits');
  }

  get bytes(): number {
    return [...this.#series.values()].reduce(
      (sum, series) => sum + series.bytes,
      this.lastLogits.byteLength,
    );
  }

  get(name: string): ActivationSeries | null {
    return this.#series.get(name) ?? null;
  }

  /** Return whether a run's rows join on here: all ids before its `start` are known and the same. */
  reaches(result: Pick<RunResult, 'ids' | 'start'>): boolean {
    if (result.start > this.ids.length) return false;
    for (let at = 0; at < result.start; at++) if (this.ids[at] !== result.ids[at]) return false;
    return true;
  }
}

/** Append a run to the set; null where rows between the two are missing, so that the whole text must be run again. */
export function mergeRun(held: ActivationSet | null, result: RunResult): ActivationSet | null {
  if (result.start > 0 && !held?.reaches(result)) return null;
  const series = new Map<string, Series>();
  for (const tensor of result.tensors) {
    const before = held?.get(tensor.name);
    if (result.start === 0) {
      series.set(tensor.name, new Series(tensor.name, headsOf(tensor), [segmentOf(tensor, 0)]));
    } else if (before instanceof Series) {
      series.set(tensor.name, before.extendedBy(tensor, result.start));
    } else return null;
  }
  return new ActivationSet(result.ids, result.lastLogits, series);
}
