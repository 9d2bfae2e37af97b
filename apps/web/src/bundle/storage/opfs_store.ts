// Stores pieces of models as files in the browser's private file system (OPFS), named by their digests and followed by
// a checksum. Only workers have its synchronous access, which is as fast as memory. model_cache.ts decides which models
// are removed first. It is our own code because libraries for this file system, and the Cache API, hand out whole files:
// none reads a piece straight into a model's memory and tells a torn write from a whole one.
import type { ChunkStore, StoredPiece, WriteResult } from './chunk_store';
import { inTime, retryPolicy, startLimits } from '../download/retry_policy';
import { pieceInMemory } from './piece_in_memory';
import { checksumBytes, storageChecksum } from './storage_checksum';

/** Buffers up to this size are read into directly, larger ones through a buffer of `steppedBytes`. */
const directBytes = 16 * 2 ** 20;
const steppedBytes = 2 ** 20;

/** FileSystemSyncAccessHandle, which only workers have and the types of pages lack. */
interface SyncFile {
  getSize(): number;
  truncate(size: number): void;
  read(into: Uint8Array, options: { at: number }): number;
  write(bytes: Uint8Array, options: { at: number }): number;
  close(): void;
}

/** Mode of access. Browsers that do not support it lock the file for this tab alone. */
type SyncMode = 'read-only' | 'readwrite';

interface SyncFileHandle {
  createSyncAccessHandle(options: { mode: SyncMode }): Promise<SyncFile>;
}

/** Open a file for synchronous access, without a copy. Workers only; rejects where another tab has it open. */
export function openSync(file: FileSystemFileHandle, mode: SyncMode): Promise<SyncFile> {
  return (file as unknown as SyncFileHandle).createSyncAccessHandle({ mode });
}

/** Wait before a file that is locked is opened again; browsers tell nobody when a lock ends. */
const lockedRetryMs = 50;

/** Functions that the store needs from the owner of the models' records. */
export interface RecordKeeper {
  /** Return the folder of the pieces; it changes after the visitor has cleared the storage. */
  folder(): FileSystemDirectoryHandle;
  /** Settle once the model that the next pieces belong to is recorded. Never rejects. */
  recorded(): Promise<void>;
  /** Free so many bytes, after a write found no room. Never rejects. */
  makeRoom(bytes: number): Promise<void>;
}

export class OpfsStore implements ChunkStore {
  readonly #records: RecordKeeper;
  /** True once the browser did not answer in time. It is not asked again: a model has hundreds of pieces. */
  #isSilent = false;

  constructor(records: RecordKeeper) {
    this.#records = records;
  }

  get keeps(): boolean {
    return !this.#isSilent;
  }

  async read(digest: string, into: Uint8Array<ArrayBuffer>): Promise<boolean> {
    const file = await this.#find(digest);
    if (file === null) return false;
    const checksum = await this.#readInto(file, into);
    // A tab that was closed while it wrote leaves a short file, and disks corrupt bytes. The file isn't removed here,
    // as another tab may have written it again meanwhile. The next download of the piece overwrites it.
    return checksum !== null && areSame(checksum, await storageChecksum(into));
  }

  async write(digest: string, bytes: Uint8Array<ArrayBuffer>): Promise<WriteResult> {
    await this.#records.recorded();
    const first = await this.#tryWrite(digest, bytes);
    if (first !== 'no-room') return first;
    // Retry even where nothing more can be removed: another piece's write may just have made enough room.
    await inTime(this.#records.makeRoom(bytes.length), startLimits.storage, undefined);
    return this.#tryWrite(digest, bytes);
  }

  async open(digest: string, bytes: number): Promise<StoredPiece | null> {
    const file = await this.#find(digest);
    if (file === null) return null;
    let handle: SyncFile;
    try {
      handle = await this.#open(file, 'read-only');
    } catch {
      // Some browsers have only exclusive access, so another tab may have locked the file: read a copy instead.
      const copy = new Uint8Array(bytes);
      return (await this.read(digest, copy)) ? pieceInMemory(copy) : null;
    }
    let isWhole = false;
    try {
      isWhole = handle.getSize() === bytes + checksumBytes;
    } finally {
      if (!isWhole) handle.close();
    }
    return isWhole ? new OpenPiece(handle, bytes) : null;
  }

  async remove(digest: string): Promise<boolean> {
    return this.#records
      .folder()
      .removeEntry(fileName(digest))
      .then(
        () => true,
        // The file is removed already, or another tab reads it.
        () => false,
      );
  }

  async #find(digest: string): Promise<FileSystemFileHandle | null> {
    const file = this.#ask(() => this.#records.folder().getFileHandle(fileName(digest)));
    return file.catch(() => null);
  }

  /** Ask the browser. Rejects after a timeout, and from then on at once. `drop` receives a late answer. */
  async #ask<Answer>(
    question: () => Promise<Answer>,
    drop: (late: Answer) => void = () => undefined,
    ms: number = startLimits.storage,
  ): Promise<Answer> {
    if (this.#isSilent) throw new Error('the storage does not answer');
    const asking = question();
    const answer = await inTime(
      asking.then((value) => ({ value })),
      ms,
      null,
    );
    if (answer !== null) return answer.value;
    this.#isSilent = true;
    asking.then(drop, () => undefined);
    throw new Error(`the storage did not answer within ${ms} ms`);
  }

  #open(file: FileSystemFileHandle, mode: SyncMode): Promise<SyncFile> {
    return this.#ask(
      () => openSync(file, mode),
      // A handle that stays open locks the file for every tab.
      (late) => {
        late.close();
      },
    );
  }

  /**
   * Open a file for writing. A page that was reloaded or closed while it wrote holds its file a moment longer than its
   * lock on the digest: wait for that, up to a timeout.
   */
  async #openUnlocked(file: FileSystemFileHandle): Promise<SyncFile> {
    const until = performance.now() + startLimits.storage;
    for (;;) {
      try {
        return await this.#open(file, 'readwrite');
      } catch (error) {
        if (!isLocked(error) || performance.now() > until) throw error;
        await new Promise((resolve) => setTimeout(resolve, lockedRetryMs));
      }
    }
  }

  /** Fill `into` and return the checksum stored with the bytes; null where the file is not complete. */
  async #readInto(file: FileSystemFileHandle, into: Uint8Array): Promise<Uint8Array | null> {
    const size = into.length + checksumBytes;
    const checksum = new Uint8Array(checksumBytes);
    try {
      const handle = await this.#open(file, 'read-only');
      try {
        if (handle.getSize() !== size) return null;
        const read = handle.read(into, { at: 0 }) + handle.read(checksum, { at: into.length });
        return read === size ? checksum : null;
      } finally {
        handle.close();
      }
    } catch {
      // Another tab has locked the file, but a copy can still be read.
      try {
        const copy = await this.#ask(() => file.getFile());
        if (copy.size !== size) return null;
        const whole = await this.#ask(() => copy.arrayBuffer(), undefined, retryPolicy.stallMs);
        const bytes = new Uint8Array(whole);
        into.set(bytes.subarray(0, into.length));
        return bytes.subarray(into.length);
      } catch {
        return null;
      }
    }
  }

  async #tryWrite(digest: string, bytes: Uint8Array<ArrayBuffer>): Promise<WriteResult> {
    const checksum = await storageChecksum(bytes);
    let handle: SyncFile | null = null;
    try {
      const folder = this.#records.folder();
      const file = await this.#ask(() => folder.getFileHandle(fileName(digest), { create: true }));
      handle = await this.#openUnlocked(file);
      handle.truncate(0);
      const written = handle.write(bytes, { at: 0 }) + handle.write(checksum, { at: bytes.length });
      if (written === bytes.length + checksumBytes) return 'kept';
      handle.close();
      handle = null;
      await this.remove(digest);
      return 'no-room';
    } catch (error) {
      handle?.close();
      handle = null;
      await this.#ask(() => this.remove(digest)).catch(() => undefined);
      return isQuota(error) ? 'no-room' : 'failed';
    } finally {
      handle?.close();
    }
  }
}

class OpenPiece implements StoredPiece {
  readonly #handle: SyncFile;
  readonly #bytes: number;

  constructor(handle: SyncFile, bytes: number) {
    this.#handle = handle;
    this.#bytes = bytes;
  }

  read(into: Uint8Array, at: number): void {
    const isInside = at + into.length <= this.#bytes;
    if (!isInside || this.#readStepwise(into, at) !== into.length)
      throw new RangeError(`the stored piece has no ${into.length} bytes at ${at}`);
  }

  /**
   * Fill `into` as far as the file goes; return the number of bytes. Chromium keeps the memory of a buffer that it read
   * a file into until a garbage collection, even if the buffer is freed earlier. The largest weight of GPT-2 small is
   * almost a third of all its bytes.
   */
  #readStepwise(into: Uint8Array, at: number): number {
    if (into.buffer.byteLength <= directBytes) return this.#handle.read(into, { at });
    const step = new Uint8Array(Math.min(steppedBytes, into.length));
    for (let done = 0; done < into.length;) {
      const part = step.subarray(0, into.length - done);
      const read = this.#handle.read(part, { at: at + done });
      into.set(part.subarray(0, read), done);
      done += read;
      if (read < part.length) return done;
    }
    return into.length;
  }

  close(): void {
    this.#handle.close();
  }
}

function areSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

function isLocked(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'NoModificationAllowedError';
}

function isQuota(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'QuotaExceededError';
}

/** Return the file name of a digest. The manifest's schema checks digests: `sha256:` and 64 hex digits. */
function fileName(digest: string): string {
  return digest.replace('sha256:', '');
}
