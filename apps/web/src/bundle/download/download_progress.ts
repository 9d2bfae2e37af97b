// Progress of a download: bytes received, their origin, and the reason why nothing arrives at the moment.
import type { TransferEvents, TransferWait } from './transfer';

export interface DownloadState {
  /** Bytes received, including those from the browser's store. */
  readonly receivedBytes: number;
  readonly totalBytes: number;
  /** Bytes that came from the browser's store. */
  readonly keptBytes: number;
  /** Reason why nothing arrives at the moment; null while something does. */
  readonly waiting: TransferWait | null;
}

export interface PieceEvents extends TransferEvents {
  onArrived(bytes: number, origin: 'store' | 'network'): void;
}

export class DownloadProgress {
  keptBytes = 0;
  readonly #totalBytes: number;
  readonly #onProgress: (state: DownloadState) => void;
  /** Reason why each piece in progress waits; null while it does not. */
  readonly #underWay = new Map<PieceEvents, TransferWait | null>();
  #receivedBytes = 0;

  constructor(totalBytes: number, onProgress: (state: DownloadState) => void) {
    this.#totalBytes = totalBytes;
    this.#onProgress = onProgress;
  }

  /** Count one finished piece. */
  follow(): PieceEvents {
    let counted = 0;
    const count = (bytes: number): void => {
      this.#receivedBytes += bytes - counted;
      counted = bytes;
    };
    const events: PieceEvents = {
      onReceived: (bytes) => {
        count(bytes);
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
