// The lens of both runs as one picture that stands alone: B's layers above, A's below, in the columns of the alignment.
import { cellsSvg } from '../../charts/cells_svg';
import type { Theme, ValueScale } from '../../charts/colour_ramps';
import { labelOf } from '../../session/token';
import type { ComparedPair } from '../../session/comparisons.svelte';
import { guessAt } from './lens_cells';
import type { SideNames } from './sides';

interface LensPairPicture {
  readonly title: string;
  readonly caption: readonly string[];
  readonly pair: ComparedPair;
  readonly names: SideNames;
  readonly layers: readonly number[];
  readonly layerName: (layer: number) => string;
  readonly scale: ValueScale;
  readonly theme: Theme;
}

const CELL = { width: 72, height: 22 };

export function lensPairPicture(picture: LensPairPicture): string {
  const { title, caption, pair, layers, layerName, scale, theme } = picture;
  const { aligned } = pair;
  const rowsOf = (side: 'a' | 'b') =>
    layers.map((layer) => {
      const { activations, pieces } = pair[side].answer;
      const guesses = aligned.map((column) => guessAt(activations, layer, column[side]));
      return {
        label: `${side.toUpperCase()} ${layerName(layer)}`,
        values: guesses.map((guess) => guess?.probability ?? 0),
        texts: guesses.map((guess) =>
          guess === null ? '–' : labelOf(guess.id, pieces.get(guess.id)?.bytes ?? null),
        ),
      };
    });
  return cellsSvg({
    ...{ title, caption, cell: CELL, labelWidth: 52, scale, theme },
    columns: aligned.map(({ a, b }) => {
      const [ofA, ofB] = [
        a === null ? '–' : (pair.a.answer.tokens[a]?.label ?? ''),
        b === null ? '–' : (pair.b.answer.tokens[b]?.label ?? ''),
      ];
      return ofA === ofB ? ofA : `${ofB}/${ofA}`;
    }),
    rows: [...rowsOf('b'), ...rowsOf('a')],
  });
}
