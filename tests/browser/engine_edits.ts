// Sets of edits that the engine runs beside PyTorch: whole, and from the cache.
import { editsFromJson } from '../../apps/web/src/inference/edit_json';
import type { Edit } from '../../apps/web/src/inference/edits';
import type { Interventions } from '../../apps/web/src/inference/interventions';
import { expect, type Engine } from './engine';
import { largestError, reference, type EditSet, type Prompt } from './fixtures';

/** Every kind of edit, in alphabetical order. */
export const editKinds = ['add', 'cap', 'knock-out', 'project-out', 'replace', 'scale', 'swap'];

/** Return edits of the fixtures, which are in the wire form. */
export function editsOf(edits: readonly unknown[]): Edit[] {
  return editsFromJson({ edits_version: '1.0', edits });
}

/** Where a set of edits is run. */
export interface EditedModel {
  readonly engine: Engine;
  readonly prompt: Prompt;
  /** The last layer's resid_post, the one activation that is open. */
  readonly last: string;
  readonly tolerance: number;
}

/** Run a set of edits whole, then up to the middle of the edited tokens and on from there: both are PyTorch's. */
export async function expectEdited(
  { engine, prompt, last, tolerance }: EditedModel,
  interventions: Interventions,
  { name, logits, residPost }: Omit<EditSet, 'interventions'>,
): Promise<void> {
  const { ids } = prompt;
  const whole = await engine.run({ ids, reuseCache: false, keepCache: false, interventions });
  expect(largestError(whole.lastLogits, logits.data), name).toBeLessThanOrEqual(tolerance);
  const rows = whole.tensors.get(last)?.data ?? [];
  expect(largestError(rows, residPost.data), name).toBeLessThanOrEqual(tolerance);
  const untouched = reference(prompt, 'logits').data.slice(-logits.data.length);
  expect(largestError(logits.data, untouched), `${name} must matter`).toBeGreaterThan(0.01);
  await engine.run({ ids: ids.slice(0, 6), reuseCache: true, interventions });
  const rest = await engine.run({ ids, reuseCache: true, interventions });
  const places = interventions.map((edit) => ('position' in edit ? edit.position : undefined));
  // What was the last of six tokens is not the last any more: its keys are of no use.
  const countsFromTheEnd = JSON.stringify(places).includes('-');
  expect(rest.start, name).toBe(countsFromTheEnd ? 0 : 6);
  expect(largestError(rest.lastLogits, logits.data), name).toBeLessThanOrEqual(tolerance);
}

/** Run without edits, in a session that has room for all of them by now: the model's own numbers. */
export async function expectUnedited({ engine, prompt, tolerance }: EditedModel): Promise<void> {
  const none = await engine.run({ ids: prompt.ids, reuseCache: false });
  const expected = reference(prompt, 'logits').data.slice(-none.lastLogits.length);
  expect(largestError(none.lastLogits, expected)).toBeLessThanOrEqual(tolerance);
}
