// Records of the models that the browser stores for offline visits, and the order in which they are removed when
// storage is full. opfs_store.ts stores their bytes.
import type { Manifest } from '../../contract/generated';
import { sha256Digest } from '../download/digest';
import { OpfsStore, openSync } from './opfs_store';
import { inTime, startLimits } from '../download/retry_policy';
import { checksumBytes } from './storage_checksum';

/** One manifest that was opened, and the pieces that it needs. */
interface CacheRecord {
  readonly url: string;
  readonly name: string;
  readonly version: string | null;
  /** Milliseconds since 1970. */
  readonly openedAt: number;
  /** Number of bytes of each piece, by digest. */
  readonly pieces: Readonly<Record<string, number>>;
  /** Text of the manifest, as received. */
  readonly manifest: string;
  /** The build of the page that checked the manifest; null in development. */
  readonly checkedBy: string | null;
}

/** A manifest that was opened before. */
export interface KeptManifest {
  readonly text: string;
  readonly openedAt: number;
  /** True if this build of the page has checked the text before. */
  readonly isChecked: boolean;
}

/** A model that the browser stores for the next visit. */
export interface KeptModel {
  /** Address of its manifest. */
  readonly url: string;
  readonly name: string;
  readonly version: string | null;
  /** Milliseconds since 1970. */
  readonly openedAt: number;
  /** Number of bytes of its pieces that are stored. Models may share pieces. */
  readonly bytes: number;
  /** True if a newer manifest was opened at the same address. */
  readonly superseded: boolean;
}

/** Maximum bytes of a record; any manifest that a page opens is far smaller. */
const maxRecordBytes = 128 * 2 ** 20;
const lockName = 'oriel-shelf';
/** A build's scripts have digests of their content in their names, unlike those in development. */
const thisBuild = import.meta.env.PROD ? import.meta.url : null;
/** Timeout for the lock. Work under it takes far less; a tab that holds it longer is frozen or hangs. */
const maxTurnMs = 2000;
/** Longest time that a model waits for its record to be written, however slow the disk is. */
const maxRecordingMs = 5000;

interface Folders {
  readonly records: FileSystemDirectoryHandle;
  readonly pieces: FileSystemDirectoryHandle;
}

export class ModelCache {
  readonly chunks: OpfsStore;
  #folders: Folders;
  /** Names of the records of models that this tab has open: they are never removed to make room. */
  readonly #inUse = new Set<string>();

  #recorded: Promise<void> = Promise.resolve();

  private constructor(folders: Folders) {
    this.#folders = folders;
    this.chunks = new OpfsStore({
      folder: () => this.#folders.pieces,
      recorded: () => this.recorded(),
      makeRoom: (bytes) => this.makeRoom(bytes),
    });
  }

  /** Open the storage; null where the browser has none for this page or does not answer: private windows, no TLS. */
  static async open(): Promise<ModelCache | null> {
    try {
      const folders = await inTime(openFolders(), startLimits.storage, null);
      if (folders === null) return null;
      if (!('createSyncAccessHandle' in FileSystemFileHandle.prototype)) return null;
      return new ModelCache(folders);
    } catch {
      return null;
    }
  }

  /** The folder of the pieces. It is a new folder after the visitor has cleared the storage. */
  get folder(): FileSystemDirectoryHandle {
    return this.#folders.pieces;
  }

  /** Return the manifest that was opened last at this address. Never rejects. */
  async manifestOf(url: string): Promise<KeptManifest | null> {
    const records = await inTime(this.#read(), startLimits.storage, new Map<string, CacheRecord>());
    const own = [...records.values()].filter((record) => record.url === url);
    const newest = own.sort((a, b) => b.openedAt - a.openedAt)[0];
    if (newest === undefined) return null;
    const { manifest: text, openedAt, checkedBy } = newest;
    return { text, openedAt, isChecked: checkedBy !== null && checkedBy === thisBuild };
  }

  /** Settle once the models opened so far are recorded for the next visit, or after a timeout. Never rejects. */
  recorded(): Promise<void> {
    return this.#recorded;
  }

  /**
   * Record a manifest that passed its check. Writes of pieces wait from now on until it is recorded, so that no tab
   * removes them as orphans; reads do not wait.
   */
  remember(
    ...what: [
      url: string,
      text: string,
      manifest: Manifest,
      pieces: Readonly<Record<string, number>>,
    ]
  ): void {
    const remembering = Promise.race([this.#remember(...what), pause(maxRecordingMs)]);
    this.#recorded = Promise.all([this.#recorded, remembering]).then(() => undefined);
  }

  async #remember(
    url: string,
    text: string,
    { model, version }: Manifest,
    pieces: Readonly<Record<string, number>>,
  ): Promise<void> {
    try {
      const name = `${(await sha256Digest(encode(`${url}\n${text}`))).slice(7)}.json`;
      this.#inUse.add(name);
      await this.#underLock(async () => {
        // The visitor may have cleared the storage since.
        this.#folders = await openFolders();
        const before = (await this.#readOne(name))?.pieces ?? {};
        const record: CacheRecord = {
          ...{ url, name: model.name, version: version ?? null, openedAt: Date.now() },
          ...{ pieces: { ...before, ...pieces }, manifest: text, checkedBy: thisBuild },
        };
        const file = await this.#folders.records.getFileHandle(name, { create: true });
        await replaceContent(file, encode(JSON.stringify(record)));
      });
    } catch {
      // Without a record the pieces are still found by their digests, but are the first to be removed for room.
    }
  }

  /** List the stored models, last opened first; null where the browser does not answer in time. */
  kept(): Promise<KeptModel[] | null> {
    // A list that takes too long loses the lock to whoever waits for it, and rejects.
    const listed = this.#kept().catch(() => null);
    return inTime(listed, startLimits.modelCache, null);
  }

  async #kept(): Promise<KeptModel[]> {
    // Under the lock: a record that is being written would seem to be missing.
    const records = await this.#underLock(async () => [...(await this.#read()).values()]);
    const here = await this.#sizes();
    return records
      .sort((a, b) => b.openedAt - a.openedAt)
      .map(({ url, name, version, openedAt, pieces }, index, all) => ({
        ...{ url, name, version, openedAt },
        bytes: Object.keys(pieces).reduce((sum, digest) => sum + (here.get(digest) ?? 0), 0),
        superseded: all.slice(0, index).some((newer) => newer.url === url),
      }));
  }

  /** Return the digests of all pieces that are stored completely, as far as their files can be read in time. */
  async digests(): Promise<Set<string>> {
    const sizes = await inTime(this.#sizes(), startLimits.storage, new Map<string, number>());
    return new Set([...sizes].flatMap(([digest, bytes]) => (bytes > 0 ? [digest] : [])));
  }

  /** Remove the models of an address, or all; pieces shared with other models stay. Rejects where it takes too long. */
  async forget(url: string | null): Promise<void> {
    const forgetting = this.#underLock(async () => {
      for (const [file, record] of await this.#read()) {
        if (url === null || record.url === url) await remove(this.#folders.records, file);
      }
      await this.#removeOrphans();
    });
    const isDone = forgetting.then(() => true);
    if (!(await inTime(isDone, startLimits.modelCache, false)))
      throw new Error(`nothing was removed within ${startLimits.modelCache} ms`);
  }

  /**
   * Free so many bytes, if possible: pieces that no record names, then versions superseded by a newer one at
   * their address, then the models least recently opened; none that this tab has open.
   */
  async makeRoom(bytes: number): Promise<void> {
    try {
      await this.#underLock(async () => {
        let freed = await this.#removeOrphans();
        for (const file of inOrderOfRemoval(await this.#read(), this.#inUse)) {
          if (freed >= bytes) break;
          await remove(this.#folders.records, file);
          freed += await this.#removeOrphans();
        }
      });
    } catch {
      // The write that needed room will fail and report it.
    }
  }

  /** Remove pieces that no record names, and unreadable records; return the bytes freed. Must hold the lock. */
  async #removeOrphans(): Promise<number> {
    const records = await this.#read();
    for (const { name } of await filesIn(this.#folders.records))
      if (!records.has(name)) await remove(this.#folders.records, name);
    const named = new Set([...records.values()].flatMap(({ pieces }) => Object.keys(pieces)));
    let freed = 0;
    for (const [digest, bytes] of await this.#sizes()) {
      if (!named.has(digest) && (await this.chunks.remove(digest))) freed += bytes;
    }
    return freed;
  }

  async #sizes(): Promise<Map<string, number>> {
    const sizes = new Map<string, number>();
    for (const handle of await filesIn(this.#folders.pieces)) {
      // 0 bytes where another tab has the file open for writing.
      const size = await handle.getFile().then(
        (file) => file.size - checksumBytes,
        () => 0,
      );
      sizes.set(`sha256:${handle.name}`, Math.max(0, size));
    }
    return sizes;
  }

  /** Read the records by file name, except unreadable files: without the lock, one may be in the middle of a write. */
  async #read(): Promise<Map<string, CacheRecord>> {
    const records = new Map<string, CacheRecord>();
    for (const { name } of await filesIn(this.#folders.records)) {
      const record = await this.#readOne(name);
      if (record !== null) records.set(name, record);
    }
    return records;
  }

  async #readOne(name: string): Promise<CacheRecord | null> {
    try {
      const file = await (await this.#folders.records.getFileHandle(name)).getFile();
      if (file.size > maxRecordBytes) return null;
      const record: unknown = JSON.parse(await file.text());
      return isRecord(record) ? record : null;
    } catch {
      return null;
    }
  }

  /** Run `work` under the lock that all tabs share; after the timeout, steal the lock from a tab that hangs. */
  async #underLock<Result>(work: () => Promise<Result>): Promise<Result> {
    let hasBegun = false as boolean;
    const turn = (): Promise<Result> => {
      hasBegun = true;
      return work();
    };
    const signal = AbortSignal.timeout(maxTurnMs);
    try {
      return await navigator.locks.request(lockName, { signal }, turn);
    } catch (error) {
      if (hasBegun || !signal.aborted) throw error;
      return await navigator.locks.request(lockName, { steal: true }, turn);
    }
  }
}

/**
 * Write a file whole or not at all, where the browser can: a page that is left meanwhile would leave an empty record, and
 * the model would count as never opened.
 */
async function replaceContent(
  file: FileSystemFileHandle,
  content: Uint8Array<ArrayBuffer>,
): Promise<void> {
  if ('createWritable' in FileSystemFileHandle.prototype) {
    const writable = await file.createWritable();
    await writable.write(content);
    await writable.close();
    return;
  }
  const handle = await openSync(file, 'readwrite');
  try {
    handle.truncate(0);
    handle.write(content, { at: 0 });
  } finally {
    handle.close();
  }
}

/** Return the names of records in the order in which they are removed. */
export function inOrderOfRemoval(
  records: ReadonlyMap<string, Pick<CacheRecord, 'url' | 'openedAt'>>,
  inUse: ReadonlySet<string>,
): string[] {
  const newest = new Map<string, number>();
  for (const { url, openedAt } of records.values()) {
    newest.set(url, Math.max(openedAt, newest.get(url) ?? -Infinity));
  }
  return [...records]
    .filter(([file]) => !inUse.has(file))
    .map(([file, { url, openedAt }]) => ({
      ...{ file, openedAt },
      current: openedAt === newest.get(url),
    }))
    .sort((a, b) => Number(a.current) - Number(b.current) || a.openedAt - b.openedAt)
    .map(({ file }) => file);
}

function isRecord(value: unknown): value is CacheRecord {
  if (typeof value !== 'object' || value === null) return false;
  const { url, name, version, openedAt, pieces, manifest, checkedBy } = value as Record<
    string,
    unknown
  >;
  return (
    [url, name, manifest].every((text) => typeof text === 'string') &&
    [version, checkedBy].every((text) => text === null || typeof text === 'string') &&
    typeof openedAt === 'number' &&
    typeof pieces === 'object' &&
    pieces !== null &&
    Object.values(pieces).every((bytes) => typeof bytes === 'number')
  );
}

async function openFolders(): Promise<Folders> {
  const root = await navigator.storage.getDirectory();
  const folder = await root.getDirectoryHandle('oriel', { create: true });
  return {
    records: await folder.getDirectoryHandle('models', { create: true }),
    pieces: await folder.getDirectoryHandle('pieces', { create: true }),
  };
}

/** List the files of a folder; none where the visitor has just cleared the storage. */
async function filesIn(folder: FileSystemDirectoryHandle): Promise<FileSystemFileHandle[]> {
  const files: FileSystemFileHandle[] = [];
  try {
    for await (const handle of folder.values()) if (isFile(handle)) files.push(handle);
  } catch {
    // The files found before the error may still exist.
  }
  return files;
}

function isFile(handle: FileSystemHandle): handle is FileSystemFileHandle {
  return handle.kind === 'file';
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function remove(folder: FileSystemDirectoryHandle, name: string): Promise<void> {
  await folder.removeEntry(name).catch(() => undefined);
}

function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}
