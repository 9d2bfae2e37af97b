// Errors between a URL and verified bytes. The union of all the page's errors is in inference/model_types.ts.
import { TaggedError } from '../contract/tagged_error';

export type BundleErrorData =
  | { kind: 'aborted' }
  | { kind: 'not-found'; url: string; status: number }
  /** The server failed or asks to retry later; `retryAfterMs` is null where it does not say when. */
  | { kind: 'server'; url: string; status: number; retryAfterMs: number | null }
  /** `offline`: the browser reports that there is no network. */
  | { kind: 'network'; url: string; offline: boolean }
  /** Each attempt received nothing for `ms` milliseconds. */
  | { kind: 'stalled'; url: string; ms: number }
  /** The server answers, but does not allow pages of other origins to read (CORS). */
  | { kind: 'no-cors'; url: string; origin: string }
  /** `isHtml`: a web page came instead, so there may be no manifest at this address. */
  | { kind: 'not-a-manifest'; url: string; detail: string; isHtml?: true }
  | { kind: 'contract-version'; got: string; supported: string }
  | { kind: 'integrity'; path: string; expected: string; got: string }
  /** The host sends bytes from `got` on where those from `expected` on were asked for. */
  | { kind: 'no-ranges'; url: string; got: number; expected: number }
  | { kind: 'too-large'; path: string; bytes: number; limit: number }
  /** An ONNX file whose metadata lacks the contract's document, or whose document is not valid. */
  | { kind: 'not-a-model'; path: string; reason: UnfitGraph; got: string }
  /** Files are missing among the visitor's own: `names` are some of the `count` that the model needs. */
  | { kind: 'files-missing'; names: readonly string[]; count: number }
  /** None of the visitor's own files is a model: `names` are some of the `count`. */
  | { kind: 'no-model-in-files'; names: readonly string[]; count: number }
  | { kind: 'too-many-files'; limit: number }
  | { kind: 'address-refused'; address: string; reason: 'scheme' | 'credentials' | 'unreadable' }
  /** This build opens no model from that origin when a link names it. */
  | { kind: 'origin-refused'; origin: string; allowed: readonly string[] };

/** The fault of a graph without a manifest: damaged bytes, no document of the contract, a document that is not valid or
 * does not match the graph, or weights at a path that is not allowed. */
export type UnfitGraph = 'damaged' | 'no-contract' | 'bad-contract' | 'mismatch' | 'bad-location';

export class BundleError extends TaggedError<BundleErrorData> {}
