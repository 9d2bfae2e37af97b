// Names of a model's lenses. load_lens.ts loads the lenses that have a file.
import type { Manifest } from '../contract/generated';

/** Name of the logit lens, which every variant's own taps compute. */
export const logitLens = 'logit';

/** Return the names of a model's lenses, the logit lens first. */
export function lensNames({ lens_packs: packs = [] }: Manifest): string[] {
  return [logitLens, ...packs.map(({ name }) => name)];
}
