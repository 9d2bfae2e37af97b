// The error that every promise of a ModelClient rejects with. Its kinds are in model_types.ts.
import { BundleError } from '../bundle/bundle_error';
import { TaggedError } from '../contract/tagged_error';
import type { ModelErrorData } from './model_types';

/** Narrow on `error.data.kind`. */
export class ModelError extends TaggedError<ModelErrorData> {}

/** Return the data of anything caught; `fallback` is the kind of an error that has none. */
export function toModelErrorData(error: unknown, fallback: 'session' | 'run'): ModelErrorData {
  if (error instanceof ModelError || error instanceof BundleError) return error.data;
  if (error instanceof DOMException && error.name === 'AbortError') return { kind: 'aborted' };
  return { kind: fallback, detail: messageOf(error) };
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
