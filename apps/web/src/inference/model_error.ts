// What every rejected promise of a ModelClient holds. The tags are in model_types.ts.
import { BundleError } from '../bundle/bundle_error';
import { TaggedError } from '../contract/tagged_error';
import type { ModelErrorData } from './model_types';

/** Narrow on `error.data.kind`. */
export class ModelError extends TaggedError<ModelErrorData> {}

/** What to show for anything caught: `fallback` says which step it broke in where the error doesn't. */
export function toModelErrorData(error: unknown, fallback: 'session' | 'run'): ModelErrorData {
  if (error instanceof ModelError || error instanceof BundleError) return error.data;
  if (error instanceof DOMException && error.name === 'AbortError') return { kind: 'aborted' };
  return { kind: fallback, detail: messageOf(error) };
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
