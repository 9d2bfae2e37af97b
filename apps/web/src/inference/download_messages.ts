// The messages between the model's worker and the worker of its downloads. Data only; they are sent by download_apart.ts
// and download.worker.ts.
import type { Download } from '../bundle/download/download';
import type { FileDescriptor } from '../contract/generated';
import type { ModelErrorData, Progress } from './model_types';

/** Where files come from: below an address, or the visitor's own. */
export type SourceData =
  { readonly manifestUrl: string } | { readonly files: ReadonlyMap<string, File> };

export type DownloadOrder =
  | {
      readonly kind: 'start';
      readonly source: SourceData;
      readonly descriptors: readonly FileDescriptor[];
      readonly weights: ReadonlySet<string>;
      /** The folder of the pieces; null where nothing is stored. */
      readonly folder: FileSystemDirectoryHandle | null;
    }
  /** The model is recorded, so that pieces may be written: into this folder. */
  | { readonly kind: 'recorded'; readonly folder: FileSystemDirectoryHandle }
  | { readonly kind: 'room-made' };

export type DownloadNews =
  /** The worker's script is here. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'progress'; readonly progress: Progress }
  /** A write found no room for so many bytes; answered by `room-made`. */
  | { readonly kind: 'make-room'; readonly bytes: number }
  | { readonly kind: 'done'; readonly download: Download }
  | { readonly kind: 'error'; readonly error: ModelErrorData };
