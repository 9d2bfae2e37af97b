// How far a download is: bytes that are here, where they came from, and why nothing comes at the moment.
import type { TransferEvents, TransferWait } from './transfer';

export interface DownloadState {
  /** Here, those that were kept included. */
  readonly receivedBytes: number;
  readonly totalBytes: number;
  /** Of those here, the ones that the browser had kept. */
  readonly keptBytes: number;
  /** Why nothing arrives at the moment; null while something does. */
  readonly waiting: TransferWait | null;
}

export interface PieceEvents extends TransferEvents {
  onArrived(bytes: number, origin: 'store' | 'network'): void;
}

export class DownloadProgress {
  keptBytes = 0;
  readonly #totalBytes: number;
  readonly #onProgress: (state: DownloadState) => void;
  /** Of each piece under way, why it waits. */
  readonly #underWay = new Map<PieceEvents, TransferWait | null>();
  #receivedBytes = 0;

  constructor(totalBytes: number, onProgress: (state: DownloadState) => void) {
    this.#totalBytes = totalBytes;
    this.#onProgress = onProgress;
  }

  /** Counts one more piece; `onReceived` is told what of it lies in memory. */
  follow(onReceived: (bytes: number) => void): PieceEvents {
    let counted = 0;
    const count = (bytes: number): void => {
      this.#receivedBytes += bytes - counted;
      counted = bytes;
    };
    const events: PieceEvents = {
      onReceived: (bytes) => {
        count(bytes);
        onReceived(bytes);
        this.tell();
      },
      onWaiting: (waiting) => {
        this.#underWay.set(events, waiting);
        this.tell();
      },
      onArrived: (bytes, origin) => {
        count(bytes);
        if (origin === 'store') this.keptBytes += bytes;
        this.#underWay.delete(events);
        this.tell();
      },
    };
    this.#underWay.set(events, null);
    return events;
  }

  tell(): void {
    const waits = [...this.#underWay.values()];
    const [first] = waits;
    this.#onProgress({
      receivedBytes: this.#receivedBytes,
      totalBytes: this.#totalBytes,
      keptBytes: this.keptBytes,
      waiting: waits.every((wait) => wait !== null) ? (first ?? null) : null,
    });
  }
}
