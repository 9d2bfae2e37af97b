// Direct logit attribution: the shares that the parts of a model have in a token's logit, or in how far it is above
// another's, and their sum. The same in Python: oriel/analysis/attribution.py; the graph computes the shares.

/** Shares at each token of one text; all arrays are float32, and `tokens` long where nothing else is said. */
export interface Attribution {
  readonly embedding: Float32Array;
  /** For each layer (heads, tokens). */
  readonly heads: readonly Float32Array[];
  /** For each layer: what attention adds beside its heads, as a bias does. */
  readonly attentionRest: readonly Float32Array[];
  /** For each layer. */
  readonly mlps: readonly Float32Array[];
  /** Share of the final norm's bias, the same at every token. */
  readonly bias: number;
  /** The logit, or the difference, as `final_norm` and the weights give it. Kernels that round this last product too
   * (int8, int4) give a run's logits otherwise. */
  readonly logit: Float32Array;
  /** (tokens, neurons) of the layer that was asked for, parts of its MLP; null where none was. */
  readonly neurons: Float32Array | null;
}

/** Return the sum of all parts at each token: the logit, but for rounding, and for what edits add to the stream itself. */
export function totalAttribution(shares: Attribution): Float64Array {
  const { embedding, heads, attentionRest, mlps, bias } = shares;
  const total = Float64Array.from(embedding, (share) => share + bias);
  const add = (part: Float32Array): void => {
    for (const [index, share] of part.entries()) {
      const token = index % total.length;
      total[token] = (total[token] ?? 0) + share;
    }
  };
  for (const part of [...heads, ...attentionRest, ...mlps]) add(part);
  return total;
}

/** Return a head's shares, (tokens). */
export function headAttribution(shares: Attribution, layer: number, head: number): Float32Array {
  const tokens = shares.embedding.length;
  return (shares.heads[layer] ?? new Float32Array()).subarray(head * tokens, (head + 1) * tokens);
}
