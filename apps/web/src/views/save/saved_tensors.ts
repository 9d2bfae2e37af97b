// The numbers of an answer as tensors under their contract names and in their contract shapes.
import type { ActivationSeries } from '../../activations/activation_set';
import { parseActivationName } from '../../contract/activation_table';
import type { ModelShape } from '../../contract/generated';
import { shownLogits } from '../../contract/whole_text';
import type { Answer } from '../../session/answer';

export interface SavedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** Int32Array for ids, which are int64 in the contract. */
  readonly data: Float32Array | Int32Array;
}

/** The score of a token that may not be looked at. */
const LOWEST = Math.fround(-3.4028234663852886e38);

/** Return the open activations among these names: (1, tokens, width) or (1, heads, tokens, width). */
export function savedTensors(answer: Answer, names: readonly string[]): SavedTensor[] {
  return names.flatMap((name) => {
    const series = answer.activations.get(name);
    return series === null ? [] : [tensorOf(name, series, answer.tokens.length)];
  });
}

/** Return the logits of the position that is shown, (1, 1, vocabulary or labels), or of a whole text, (1, labels). */
export function savedLogits(
  { activations: { lastLogits } }: Answer,
  shape: Pick<ModelShape, 'vocab' | 'labels' | 'pooled'>,
): SavedTensor {
  return { name: 'logits', shape: shownLogits(shape), data: lastLogits };
}

function tensorOf(name: string, series: ActivationSeries, tokens: number): SavedTensor {
  const kind = parseActivationName(name)?.kind;
  if (kind === 'pooled') {
    return { name, shape: [1, series.width], data: series.row(0).slice() };
  }
  const isMap = kind === 'attn_probs' || kind === 'attn_scores';
  const width = isMap ? tokens : series.width;
  const size = series.heads * tokens * width;
  const isWhole = series.row(0) instanceof Int32Array;
  const data = isWhole ? new Int32Array(size) : new Float32Array(size);
  // A row of a map may know fewer tokens than the text has.
  if (kind === 'attn_scores') data.fill(LOWEST);
  for (let head = 0; head < series.heads; head++)
    for (let position = 0; position < tokens; position++)
      data.set(series.row(position, head), (head * tokens + position) * width);
  const heads = isMap || HEADED.has(kind ?? '') ? [series.heads] : [];
  return { name, shape: [1, ...heads, tokens, width], data };
}

const HEADED: ReadonlySet<string> = new Set(['q', 'k', 'v', 'attn_z']);
