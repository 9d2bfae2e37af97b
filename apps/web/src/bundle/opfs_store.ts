// Pieces of models as files in the browser's private file system (OPFS), named by their digests and followed by a
// checksum. Only a worker can read and write there at once, and at memory's speed. What is thrown out first:
// model_shelf.ts.
import type { ChunkStore, WriteResult } from './chunk_store';
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
  readonly keeps = true;
  readonly #upkeep: Upkeep;

  constructor(upkeep: Upkeep) {
    this.#upkeep = upkeep;
  }

  async read(digest: string, into: Uint8Array<ArrayBuffer>): Promise<boolean> {
    const file = await this.#find(digest);
    if (file === null) return false;
    const checksum = await readInto(file, into);
    // A tab that was closed while it wrote leaves a short file, and disks forget. It isn't removed here: another tab may
    // have written it anew meanwhile. Whoever fetches it again does.
    return checksum !== null && areSame(checksum, await storageChecksum(into));
  }

  async write(digest: string, bytes: Uint8Array<ArrayBuffer>): Promise<WriteResult> {
    await this.#upkeep.recorded();
    const first = await this.#tryWrite(digest, bytes);
    if (first !== 'no-room') return first;
    // Even where nothing more can go: another piece may just have made enough.
    await this.#upkeep.makeRoom(bytes.length);
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
    return this.#upkeep
      .folder()
      .getFileHandle(fileName(digest))
      .catch(() => null);
  }

  async #tryWrite(digest: string, bytes: Uint8Array<ArrayBuffer>): Promise<WriteResult> {
    const checksum = await storageChecksum(bytes);
    let handle: SyncFile | null = null;
    try {
      const file = await this.#upkeep.folder().getFileHandle(fileName(digest), { create: true });
      handle = await openSync(file, 'readwrite');
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
      await this.remove(digest);
      return isQuota(error) ? 'no-room' : 'failed';
    } finally {
      handle?.close();
    }
  }
}

/** Gives the checksum that was kept with the bytes; null where the file is not whole. */
async function readInto(file: FileSystemFileHandle, into: Uint8Array): Promise<Uint8Array | null> {
  const size = into.length + checksumBytes;
  const checksum = new Uint8Array(checksumBytes);
  try {
    const handle = await openSync(file, 'read-only');
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
      const copy = await file.getFile();
      if (copy.size !== size) return null;
      const bytes = new Uint8Array(await copy.arrayBuffer());
      into.set(bytes.subarray(0, into.length));
      return bytes.subarray(into.length);
    } catch {
      return null;
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
