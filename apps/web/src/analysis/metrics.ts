// Metrics of a run, for sweeps: one number for each text, computed from its logits at one position. The same in Python:
// oriel/analysis/metrics.py. Metrics are plain data, so that they can be posted to the worker.

/** The logit of one token minus the logit of another. */
export interface LogitDifference {
  readonly metric: 'logit-difference';
  readonly answer: number;
  readonly other: number;
  /** Position whose logits are read, counted from the end; default -1, the last token. */
  readonly position?: number;
}

/** The Kullback-Leibler divergence of a text's next-token distribution from a reference's, in nats. */
export interface Divergence {
  readonly metric: 'divergence';
  /** (vocab): logits of the reference. */
  readonly reference: Float32Array;
  /** Position as in LogitDifference. */
  readonly position?: number;
}

export type Metric = LogitDifference | Divergence;

/** Error of a metric that the model or the text can't have. */
export class MetricError extends RangeError {
  override readonly name = 'MetricError';
}

/** Throw a MetricError if a text of `tokens` tokens, in a model with this vocabulary, can't have the metric. */
export function checkMetric(metric: Metric, vocab: number, tokens: number): void {
  const { position = -1 } = metric;
  if (!Number.isInteger(position) || position >= 0 || position < -tokens)
    throw new MetricError(
      `a metric's position counts from the text's end; got ${position}; expected -1 for the last token, ` +
        `to ${-tokens} for the first`,
    );
  if (metric.metric === 'divergence') {
    const { reference } = metric;
    if (reference.length !== vocab)
      throw new MetricError(
        `the divergence's reference is of another vocabulary; got ${reference.length} logits; expected ${vocab}`,
      );
    const bad = reference.findIndex((logit) => !Number.isFinite(logit));
    if (bad >= 0)
      throw new MetricError(
        `the divergence's reference is no finite number; got ${String(reference[bad])} at index ${bad}; ` +
          'expected numbers that float32 holds',
      );
    return;
  }
  for (const token of [metric.answer, metric.other])
    if (!Number.isInteger(token) || token < 0 || token >= vocab)
      throw new MetricError(
        `the model has no such token; got id ${token}; expected ids from 0 to ${vocab - 1}`,
      );
}

/** Return the metric of one text's logits, (vocab), at the metric's position. */
export function measured(metric: Metric, logits: Float32Array): number {
  if (metric.metric === 'logit-difference')
    return (logits[metric.answer] ?? NaN) - (logits[metric.other] ?? NaN);
  const [right, got] = [logSoftmax(metric.reference), logSoftmax(logits)];
  return right.reduce((sum, log, id) => sum + Math.exp(log) * (log - (got[id] ?? NaN)), 0);
}

/** Compute the logarithm of the softmax in float64. */
export function logSoftmax(logits: Float32Array): Float64Array {
  const highest = logits.reduce((most, logit) => Math.max(most, logit), -Infinity);
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit - highest), 0);
  const shift = highest + Math.log(total);
  return Float64Array.from(logits, (logit) => logit - shift);
}
