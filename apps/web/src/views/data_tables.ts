// The rows and columns of every table that can be saved. Writing them as CSV: charts/table_text.ts.
import type { ActivationSeries } from '../activations/activation_set';
import type { Token } from '../session/token';
import type { TokenPair } from '../analysis/compare_predictions';
import type { MapRow } from '../analysis/attention_maps';
import { MASKED_SCORE } from '../analysis/attention_rows';
import { tokenData } from '../analysis/token_data';
import type { Cell } from '../charts/table_text';
import type { TokenPiece } from '../inference/model_types';

type Pieces = ReadonlyMap<number, TokenPiece>;
type Row = readonly Cell[];
type TableToken = Pick<Token, 'id' | 'position' | 'bytes'>;

/** Make one row per token of the vocabulary, by id. */
export function nextTokenRows(
  logits: ArrayLike<number>,
  truth: ArrayLike<number>,
  drawn: ArrayLike<number>,
  pieces: Pieces,
): Row[] {
  return [
    ['id', 'token', 'logit', 'probability', 'sampling_probability'],
    ...Array.from({ length: logits.length }, (_, id) => [
      ...nameOf(id, pieces),
      logits[id] ?? NaN,
      truth[id] ?? NaN,
      drawn[id] ?? NaN,
    ]),
  ];
}

/** Make one row per label, in the order of the logits. */
export function labelRows(
  labels: readonly string[],
  logits: ArrayLike<number>,
  scores: ArrayLike<number>,
): Row[] {
  return [
    ['id', 'label', 'logit', 'score'],
    ...labels.map((label, id) => [id, label, logits[id] ?? NaN, scores[id] ?? NaN]),
  ];
}

/** Make one row per token, the likeliest first; `a` and `b` are the names of the variants. */
export function comparisonRows(
  a: string,
  b: string,
  pairs: readonly TokenPair[],
  pieces: Pieces,
): Row[] {
  return [
    ['id', 'token', a, b],
    ...pairs.map((pair) => [...nameOf(pair.id, pieces), pair.a, pair.b]),
  ];
}

/**
 * Make one row per token that attends, one column per token attended to. A masked position is 0 in a table
 * of probabilities and empty in one of scores. `keys` returns how many of the first tokens a query may see.
 */
export function attentionRows(
  tokens: readonly TableToken[],
  map: MapRow,
  areScores: boolean,
  keys: (query: number) => number = (query) => query + 1,
): Row[] {
  const hidden = areScores ? '' : 0;
  return [
    [
      ...TOKEN_COLUMNS,
      ...tokens.map((token) => `${token.position} ${tokenData(token.bytes)}`.trim()),
    ],
    ...tokens.map((token) => {
      const values = map(token.position);
      return [
        ...tokenCells(token),
        ...tokens.map(({ position }) => {
          const value = values[position] ?? NaN;
          // A window of attention hides earlier tokens too.
          const masked = position >= keys(token.position) || (areScores && value < MASKED_SCORE);
          return masked ? hidden : value;
        }),
      ];
    }),
  ];
}

/** Make one row per token; where the activation has heads, their values follow each other. */
export function activationRows(tokens: readonly TableToken[], series: ActivationSeries): Row[] {
  const width = series.width * series.heads;
  return [
    [...TOKEN_COLUMNS, ...Array.from({ length: width }, (_, index) => index)],
    ...tokens.map((token) => [
      ...tokenCells(token),
      ...Array.from({ length: series.heads }, (_, head) =>
        Array.from(series.row(token.position, head)),
      ).flat(),
    ]),
  ];
}

/** Make one row per layer, token, and rank. */
export function lensRows(
  tokens: readonly TableToken[],
  layers: readonly { layer: number; ids: ActivationSeries; probs: ActivationSeries }[],
  pieces: Pieces,
): Row[] {
  const rows: Row[] = [
    ['layer', ...TOKEN_COLUMNS, 'rank', 'guess_id', 'guess_token', 'probability'],
  ];
  for (const { layer, ids, probs } of layers)
    for (const token of tokens) {
      const values = probs.row(token.position);
      ids.row(token.position).forEach((id, rank) => {
        rows.push([
          layer,
          ...tokenCells(token),
          rank + 1,
          ...nameOf(id, pieces),
          values[rank] ?? NaN,
        ]);
      });
    }
  return rows;
}

const TOKEN_COLUMNS = ['position', 'id', 'token'] as const;

function tokenCells({ position, id, bytes }: TableToken): Cell[] {
  return [position, id, tokenData(bytes)];
}

function nameOf(id: number, pieces: Pieces): Cell[] {
  return [id, tokenData(pieces.get(id)?.bytes)];
}
