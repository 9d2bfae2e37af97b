// Direct logit attribution: how much each part of a model adds to a token's logit, or to the difference from another
// token's logit, and the sum of the parts. The same in Python: oriel/analysis/attribution.py. The graph computes the
// shares.

/** The shares at each token of one text. All arrays are float32, of shape (tokens) unless another is given. */
export interface Attribution {
  readonly embedding: Float32Array;
  /** (heads, tokens) for each layer. */
  readonly heads: readonly Float32Array[];
  /** For each layer: the attention output that comes from no head, such as its bias. */
  readonly attentionRest: readonly Float32Array[];
  /** The MLP of each layer. */
  readonly mlps: readonly Float32Array[];
  /** The final norm's bias, which has the same share at every token. */
  readonly bias: number;
  /**
   * The logit, or the difference, computed from `final_norm` and the weights in float32. A run's logits differ from it
   * where kernels round this last product (int8, int4).
   */
  readonly logit: Float32Array;
  /** (tokens, neurons) of the requested layer, whose sum is part of its MLP's share; null if none was requested. */
  readonly neurons: Float32Array | null;
}

/**
 * Sum all parts at each token, (tokens). The sum equals the logit up to rounding, minus what edits add to the stream
 * itself.
 */
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
