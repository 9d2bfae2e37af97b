// Messages between the model's worker and its download worker. Plain data; download_apart.ts and download.worker.ts
// send them.
import type { Download } from '../bundle/download/download';
import type { FileDescriptor } from '../contract/generated';
import type { ModelErrorData, Progress } from './model_types';

/** The source of files: a manifest's address, or the visitor's own files. */
export type SourceData =
  { readonly manifestUrl: string } | { readonly files: ReadonlyMap<string, File> };

export type DownloadOrder =
  | {
      readonly kind: 'start';
      readonly source: SourceData;
      readonly descriptors: readonly FileDescriptor[];
      readonly weights: ReadonlySet<string>;
      /** The folder of the pieces; null if nothing is stored. */
      readonly folder: FileSystemDirectoryHandle | null;
    }
  /** The model is recorded, so pieces may be written into this folder. */
  | { readonly kind: 'recorded'; readonly folder: FileSystemDirectoryHandle }
  | { readonly kind: 'room-made' };

export type DownloadNews =
  /** The worker's script has loaded. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'progress'; readonly progress: Progress }
  /** A write needs this many bytes of free storage; the answer is `room-made`. */
  | { readonly kind: 'make-room'; readonly bytes: number }
  | { readonly kind: 'done'; readonly download: Download }
  | { readonly kind: 'error'; readonly error: ModelErrorData };
