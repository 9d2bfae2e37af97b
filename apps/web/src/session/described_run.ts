// Reads a kept run's description with an open model: the ids of its text, and its edits with their numbers.
import type { Interventions } from '../inference/interventions';
import type { KeptRun } from '../inference/kept_runs';
import { fits, textNumbersOf, withNumbers } from '../inference/listed_edits';
import { idsAround } from '../contract/whole_text';
import { ModelError } from '../inference/model_error';
import type { ModelClient } from '../inference/client_interface';
import type { OpenedModel } from '../inference/model_types';
import { idsOfText, numbersFromTexts } from './text_numbers';

export interface DescribedRun {
  readonly ids: readonly number[];
  readonly interventions: Interventions;
}

/** Return what a run of the description feeds. Rejects with a ModelError where the model has no place for it. */
export async function describedRun(
  open: { readonly client: ModelClient; readonly model: OpenedModel },
  { text, ids: stored, withoutFirst, edits }: KeptRun,
): Promise<DescribedRun> {
  const reader = { ...open, withoutFirst };
  const { vocab } = open.model.manifest.model.shape;
  const unknown = stored?.find((id) => id >= vocab);
  if (unknown !== undefined)
    throw new ModelError({ kind: 'bad-tokens', detail: `${unknown}, of ${vocab} ids` });
  const ids =
    stored === null
      ? await idsOfText(reader, text)
      : withoutFirst
        ? stored
        : idsAround(open.model.manifest, stored);
  const interventions: Interventions[number][] = [];
  for (const entry of edits) {
    if (!entry.isOn) continue;
    if (!fits(entry, open.model.manifest.model.shape))
      throw new ModelError({
        kind: 'run',
        detail: `the kept run has an edit at layer ${entry.edit.layer} that this model has no place for`,
      });
    const from = textNumbersOf(entry);
    interventions.push(
      from === null
        ? entry.edit
        : withNumbers(entry.edit, await numbersFromTexts(reader, entry, from)),
    );
  }
  return { ids, interventions };
}
