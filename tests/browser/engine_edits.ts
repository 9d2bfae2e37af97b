// Edits of the fixtures, in the wire form, as the engine takes them.
import { editsFromJson } from '../../apps/web/src/inference/edit_json';
import type { Edit } from '../../apps/web/src/inference/edits';

export function editsOf(edits: readonly unknown[]): Edit[] {
  return editsFromJson({ edits_version: '1.0', edits });
}
