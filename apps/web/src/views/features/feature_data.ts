// The features as a table, a row for each that is above 0 at a token, and as tensors.
import { alongText, countAt, featuresAt } from '../../analysis/sparse_features';
import type { Cell } from '../../charts/table_text';
import { featuresName } from '../../contract/validate_dictionaries';
import type { ReadText } from '../../session/features.svelte';
import type { SavedTensor } from '../save/saved_tensors';

/** Make one row for each feature that is above 0 at a token, of all tokens, in the order of tokens and numbers. */
export function featureRows({ features, tokens }: Pick<ReadText, 'features' | 'tokens'>): Cell[][] {
  return [
    ['position', 'feature', 'value'],
    ...tokens.flatMap((_, position) =>
      featuresAt(features, position).map(({ feature, value }) => [position, feature, value]),
    ),
  ];
}

/** Return the explained variance and the number of features of each token, and the chosen feature along the text with
 * its effect on the logits. */
export function featureTensors({
  features,
  tokens,
  explained,
  chosen,
  question,
}: ReadText): SavedTensor[] {
  const name = featuresName(question.dictionary);
  const counts = Float32Array.from(tokens, (_, position) => countAt(features, position));
  const effects = chosen?.logitEffects ?? null;
  const perToken = { shape: [tokens.length] };
  return [
    { name: `${name}_explained_variance`, ...perToken, data: explained.tokens },
    { name: `${name}_count`, ...perToken, data: counts },
    ...(chosen === null
      ? []
      : [
          {
            name: `${name}_${chosen.feature}`,
            ...perToken,
            data: alongText(features, chosen.feature),
          },
        ]),
    ...(effects === null
      ? []
      : [
          {
            name: `${name}_${chosen?.feature}_logits_at_${question.position}`,
            shape: [effects.length],
            data: effects,
          },
        ]),
  ];
}
