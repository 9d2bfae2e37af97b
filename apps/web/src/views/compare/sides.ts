// Names of the two sides of a comparison, and what pictures and files say of both.
import type { Dictionary } from '../../i18n/dictionary';
import type { ComparedPair, OtherSide } from '../../session/comparisons.svelte';
import { pictureCaption } from '../save/picture_caption';

export interface SideNames {
  readonly a: string;
  readonly b: string;
}

/** Return short names: the variants where they are what differs. */
export function sideNames(
  { a, b }: ComparedPair,
  other: OtherSide,
  runName: string,
  { compare: { sides } }: Dictionary,
): SideNames {
  switch (other.kind) {
    case 'variant':
      return { a: a.model.variant.name, b: b.model.variant.name };
    case 'unedited':
      return { a: sides.here, b: sides.unedited };
    case 'text':
      return { a: sides.here, b: sides.text };
    case 'run':
      return { a: sides.here, b: runName };
  }
}

/** Return the lines of a caption that say where each side's numbers come from. */
export function pairCaption({ a, b }: ComparedPair, names: SideNames, words: Dictionary): string[] {
  const of = (side: ComparedPair['a'], name: string): string[] => {
    const [first = '', ...more] = pictureCaption(side.model, side.answer, words);
    return [`${name}${words.colon}${first}`, ...more];
  };
  return [...of(a, `A (${names.a})`), ...of(b, `B (${names.b})`)];
}
