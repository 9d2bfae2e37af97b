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
  /** `isHtml`: a web page came in its place, so that there may be none. */
  | { kind: 'not-a-manifest'; url: string; detail: string; isHtml?: true }
  | { kind: 'contract-version'; got: string; supported: string }
  | { kind: 'integrity'; path: string; expected: string; got: string }
  | { kind: 'too-large'; path: string; bytes: number; limit: number }
  /** An ONNX file that says of itself nothing, or nothing sound, of what the contract asks for. */
  | { kind: 'not-a-model'; path: string; reason: UnfitGraph; got: string }
  /** Of the visitor's own files: `names` are some of the `count` that the model needs. */
  | { kind: 'files-missing'; names: readonly string[]; count: number }
  /** None of the visitor's own files is a model: `names` are some of the `count`. */
  | { kind: 'no-model-in-files'; names: readonly string[]; count: number }
  | { kind: 'too-many-files'; limit: number }
  | { kind: 'address-refused'; address: string; reason: 'scheme' | 'credentials' | 'unreadable' }
  /** This build opens no model of that origin for a link. */
  | { kind: 'origin-refused'; origin: string; allowed: readonly string[] };

/** What is wrong with a bare graph: its bytes, no document in it, one that is not sound or not its own, or where it looks
 * for its weights. */
export type UnfitGraph = 'damaged' | 'no-contract' | 'bad-contract' | 'mismatch' | 'bad-location';

export class BundleError extends TaggedError<BundleErrorData> {}
