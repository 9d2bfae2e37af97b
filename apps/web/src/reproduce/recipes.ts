// The numbers that scripts compute again, a row for each thing that the page shows.
import { activationRecipe } from './things/activation';
import { attentionRecipe } from './things/attention';
import { attributionRecipe } from './things/attribution';
import { differenceRecipe } from './things/difference';
import { featureRecipe } from './things/feature';
import { headScoresRecipe } from './things/head_scores';
import { layerRecipe } from './things/layer';
import { lensRecipe } from './things/lens';
import { neuronRecipe } from './things/neuron';
import { nextRecipe } from './things/next';
import { pathsRecipe } from './things/paths';
import { stepsRecipe } from './things/steps';
import type { Recipe, RunOrigin } from './recipe';
import type { ShownNumbers } from './shown_numbers';

const RECIPES: {
  readonly [T in ShownNumbers['thing']]: (
    shown: Extract<ShownNumbers, { thing: T }>,
    origin: RunOrigin,
  ) => Recipe | null;
} = {
  next: nextRecipe,
  attention: attentionRecipe,
  lens: lensRecipe,
  layer: layerRecipe,
  activation: activationRecipe,
  neuron: neuronRecipe,
  feature: featureRecipe,
  attribution: attributionRecipe,
  steps: stepsRecipe,
  paths: pathsRecipe,
  difference: differenceRecipe,
  'head-scores': headScoresRecipe,
};

/** Return the recipe; null where the model's logits aren't the sum that it would take apart. */
export function recipeFor(shown: ShownNumbers, origin: RunOrigin): Recipe | null {
  // The row of a thing takes exactly its numbers, which TypeScript can't follow through the index.
  const make = RECIPES[shown.thing] as (shown: ShownNumbers, origin: RunOrigin) => Recipe | null;
  return make(shown, origin);
}
