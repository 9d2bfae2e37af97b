// Pieces of models as files in the browser's private file system (OPFS), named by their digests and followed by a
// checksum. Only a worker can read and write there at once, and at memory's speed. What is thrown out first:
// model_shelf.ts.
import type { ChunkStore, WriteResult } from './chunk_store';
import { inTime, patience, startLimits } from './patience';
import { checksumBytes, storageChecksum } from './storage_checksum';

/** What workers alone have, which the types of pages leave out: FileSystemSyncAccessHandle. */
interface SyncFile {
  getSize(): number;
  truncate(size: number): void;
  read(into: Uint8Array, options: { at: number }): number;
  write(bytes: Uint8Array, options: { at: number }): number;
  close(): void;
}

/** Browsers that do not know the mode lock the file for this tab alone. */
type SyncMode = 'read-only' | 'readwrite';

interface SyncFileHandle {
  createSyncAccessHandle(options: { mode: SyncMode }): Promise<SyncFile>;
}

/** Whole files at once, without a copy. Workers only; rejects where another tab has it open. */
export function openSync(file: FileSystemFileHandle, mode: SyncMode): Promise<SyncFile> {
  return (file as unknown as SyncFileHandle).createSyncAccessHandle({ mode });
}

/** What whoever knows the models does for the store. */
export interface Upkeep {
  /** Where the pieces are: another one after the visitor has cleared the storage. */
  folder(): FileSystemDirectoryHandle;
  /** Settles once it is written down what the next pieces belong to. Never rejects. */
  recorded(): Promise<void>;
  /** Asked for room where a write found none. Never rejects. */
  makeRoom(bytes: number): Promise<void>;
}

export class OpfsStore implements ChunkStore {
  readonly #upkeep: Upkeep;
  /** The browser once did not answer in time. It is not waited for again: a model has hundreds of pieces. */
  #isSilent = false;

  constructor(upkeep: Upkeep) {
    this.#upkeep = upkeep;
  }

  get keeps(): boolean {
    return !this.#isSilent;
  }

  async read(digest: string, into: Uint8Array<ArrayBuffer>): Promise<boolean> {
    const file = await this.#find(digest);
    if (file === null) return false;
    const checksum = await this.#readInto(file, into);
    // A tab that was closed while it wrote leaves a short file, and disks forget. It isn't removed here: another tab may
    // have written it anew meanwhile. Whoever fetches it again does.
    return checksum !== null && areSame(checksum, await storageChecksum(into));
  }

  async write(digest: string, bytes: Uint8Array<ArrayBuffer>): Promise<WriteResult> {
    await this.#upkeep.recorded();
    const first = await this.#tryWrite(digest, bytes);
    if (first !== 'no-room') return first;
    // Even where nothing more can go: another piece may just have made enough.
    await inTime(this.#upkeep.makeRoom(bytes.length), startLimits.storage, undefined);
    return this.#tryWrite(digest, bytes);
  }

  async remove(digest: string): Promise<boolean> {
    return this.#upkeep
      .folder()
      .removeEntry(fileName(digest))
      .then(
        () => true,
        // Gone already, or another tab reads it.
        () => false,
      );
  }

  async #find(digest: string): Promise<FileSystemFileHandle | null> {
    const file = this.#ask(() => this.#upkeep.folder().getFileHandle(fileName(digest)));
    return file.catch(() => null);
  }

  /** Rejects where the browser does not answer in time, and from then on at once. `drop` gets what comes too late. */
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
      // What stays open is locked for every tab.
      (late) => {
        late.close();
      },
    );
  }

  /** Gives the checksum that was kept with the bytes; null where the file is not whole. */
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
      // Another tab has it locked, which does not keep anyone from reading a copy.
      try {
        const copy = await this.#ask(() => file.getFile());
        if (copy.size !== size) return null;
        const whole = await this.#ask(() => copy.arrayBuffer(), undefined, patience.stallMs);
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
      const folder = this.#upkeep.folder();
      const file = await this.#ask(() => folder.getFileHandle(fileName(digest), { create: true }));
      handle = await this.#open(file, 'readwrite');
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

function areSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

function isQuota(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'QuotaExceededError';
}

/** Digests are checked by the manifest's schema: `sha256:` and 64 hex digits. */
function fileName(digest: string): string {
  return digest.replace('sha256:', '');
}
