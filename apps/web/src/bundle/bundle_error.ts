// What can go wrong between a URL and verified bytes. The whole union of the page is in inference/model_types.ts.
import { TaggedError } from '../contract/tagged_error';

export type BundleErrorData =
  | { kind: 'aborted' }
  | { kind: 'not-found'; url: string; status: number }
  /** The server had trouble of its own, or asks for patience; in milliseconds, where it says for how long. */
  | { kind: 'server'; url: string; status: number; retryAfterMs: number | null }
  /** `offline`: the browser itself knows of no network. */
  | { kind: 'network'; url: string; offline: boolean }
  /** Nothing came for so long, in milliseconds, each time. */
  | { kind: 'stalled'; url: string; ms: number }
  /** The server is there, but does not let pages of other origins read. */
  | { kind: 'no-cors'; url: string; origin: string }
  | { kind: 'not-a-manifest'; url: string; detail: string }
  | { kind: 'contract-version'; got: string; supported: string }
  | { kind: 'integrity'; path: string; expected: string; got: string }
  | { kind: 'too-large'; path: string; bytes: number; limit: number };

export class BundleError extends TaggedError<BundleErrorData> {}
