// What can go wrong between a URL and verified bytes. The whole union of the page is in inference/model_types.ts.
import { TaggedError } from '../contract/tagged_error';

export type BundleErrorData =
  | { kind: 'aborted' }
  | { kind: 'not-found'; url: string; status: number }
  | { kind: 'network'; url: string }
  | { kind: 'not-a-manifest'; url: string; detail: string }
  | { kind: 'contract-version'; got: string; supported: string }
  | { kind: 'integrity'; path: string; expected: string; got: string }
  | { kind: 'too-large'; path: string; bytes: number; limit: number };

export class BundleError extends TaggedError<BundleErrorData> {}
