// Says of an answer if it can be saved as a page, and how large it is, before the code that saves is fetched.
import { isEdit } from '../../inference/interventions';
import type { Answer } from '../../session/answer';

/** Return whether a record can hold what the numbers were computed with: closings with tensors of their own it can't. */
export function canBeSaved({ interventions }: Answer): boolean {
  return interventions.every(isEdit);
}

/** Return the bytes of numbers that a record of the answer holds, before they are compressed. */
export function bytesToSave({ activations, untouched }: Answer): number {
  return activations.bytes + (untouched?.bytes ?? 0);
}
