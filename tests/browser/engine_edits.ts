// Runs sets of edits in the engine, whole and with the cache, and compares with PyTorch.
import { editsFromJson } from '../../apps/web/src/inference/edit_json';
import type { Edit } from '../../apps/web/src/inference/edits';
import type { Interventions } from '../../apps/web/src/inference/interventions';
import { expect, type Engine } from './engine';
import { largestError, reference, type EditSet, type Prompt } from './fixtures';

/** Every kind of edit, in alphabetical order. */
export const editKinds = [
  'add',
  'cap',
  'clamp',
  'knock-out',
  'project-out',
  'replace',
  'scale',
  'swap',
];

/** Return edits of the fixtures, which are in the wire format. */
export function editsOf(edits: readonly unknown[]): Edit[] {
  return editsFromJson({ edits_version: '1.0', edits });
}

/** The engine, bundle and prompt that a set of edits is run with. */
export interface EditedModel {
  readonly engine: Engine;
  readonly prompt: Prompt;
  /** The last layer's resid_post, the only open activation. */
  readonly last: string;
  readonly tolerance: number;
}

/**
 * Run a set of edits on the whole text, then up to the middle of the edited tokens and onward with the cache: both must
 * equal PyTorch's.
 */
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
  // The sixth token is no longer the last one, so its cached keys can't be reused.
  const countsFromTheEnd = JSON.stringify(places).includes('-');
  expect(rest.start, name).toBe(countsFromTheEnd ? 0 : 6);
  expect(largestError(rest.lastLogits, logits.data), name).toBeLessThanOrEqual(tolerance);
}

/** Run without edits in a session that has the closings of all of them: the model's own numbers. */
export async function expectUnedited({ engine, prompt, tolerance }: EditedModel): Promise<void> {
  const none = await engine.run({ ids: prompt.ids, reuseCache: false });
  const expected = reference(prompt, 'logits').data.slice(-none.lastLogits.length);
  expect(largestError(none.lastLogits, expected)).toBeLessThanOrEqual(tolerance);
}
