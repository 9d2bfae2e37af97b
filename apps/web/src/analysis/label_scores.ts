// A classifier's logits as what they say of its labels: probabilities, or numbers as they are.
import type { ClassifierRecord } from '../contract/generated';
import { softmax } from './probabilities';

/** Return a number for each label: its probability, or the logit itself where the classifier is a regression. */
export function labelScores(
  logits: Float32Array,
  problem: ClassifierRecord['problem'],
): Float64Array {
  switch (problem) {
    case 'single_label':
      return softmax(logits);
    case 'multi_label':
      return Float64Array.from(logits, (logit) => 1 / (1 + Math.exp(-logit)));
    case 'regression':
      return Float64Array.from(logits);
  }
}
