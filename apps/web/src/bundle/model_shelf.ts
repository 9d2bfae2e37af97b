// Which models the browser keeps, for offline visits, and what goes first when room is short. Their bytes: opfs_store.ts.
import type { Manifest } from '../contract/generated';
import { sha256Digest } from './digest';
import { OpfsStore, openSync } from './opfs_store';
import { inTime, startLimits } from './patience';
import { checksumBytes } from './storage_checksum';

/** One manifest that was opened, and what it named of the pieces here. */
interface ShelfRecord {
  readonly url: string;
  readonly name: string;
  readonly version: string | null;
  /** Milliseconds since 1970. */
  readonly openedAt: number;
  /** Bytes by digest. */
  readonly pieces: Readonly<Record<string, number>>;
  /** The manifest as it came. */
  readonly manifest: string;
  /** The build of the page that found the manifest right; null in development. */
  readonly checkedBy: string | null;
}

/** A manifest that was opened before. */
export interface KeptManifest {
  readonly text: string;
  readonly openedAt: number;
  /** This very code has found the text right. */
  readonly isChecked: boolean;
}

/** A model that the browser keeps for the next visit. */
export interface KeptModel {
  /** Address of its manifest. */
  readonly url: string;
  readonly name: string;
  readonly version: string | null;
  /** Milliseconds since 1970. */
  readonly openedAt: number;
  /** Of its pieces that are here. Models may share pieces. */
  readonly bytes: number;
  /** A newer manifest was opened at the same address. */
  readonly superseded: boolean;
}

/** Far beyond any manifest that a page would open. */
const longestRecord = 128 * 2 ** 20;
const lockName = 'oriel-shelf';
/** Scripts of a build have digests of what they hold in their names; in development the same name holds anything. */
const thisBuild = import.meta.env.PROD ? import.meta.url : null;
/** What is done under the lock takes far less; who holds it longer was frozen or is hung. */
const longestTurnMs = 2000;
/** However slow the disk is, no model waits longer for its record. */
const longestRecordingMs = 5000;

interface Folders {
  readonly records: FileSystemDirectoryHandle;
  readonly pieces: FileSystemDirectoryHandle;
}

export class ModelShelf {
  readonly chunks: OpfsStore;
  #folders: Folders;
  /** Records of models that this tab has open: they go last, which is never. */
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

  /** null where the browser keeps nothing for this page, or does not answer: private windows, pages without TLS. */
  static async open(): Promise<ModelShelf | null> {
    try {
      const folders = await inTime(openFolders(), startLimits.storage, null);
      if (folders === null) return null;
      if (!('createSyncAccessHandle' in FileSystemFileHandle.prototype)) return null;
      return new ModelShelf(folders);
    } catch {
      return null;
    }
  }

  /** The manifest that was opened last at this address. Never rejects. */
  async manifestOf(url: string): Promise<KeptManifest | null> {
    const records = await inTime(this.#read(), startLimits.storage, new Map<string, ShelfRecord>());
    const own = [...records.values()].filter((record) => record.url === url);
    const newest = own.sort((a, b) => b.openedAt - a.openedAt)[0];
    if (newest === undefined) return null;
    const { manifest: text, openedAt, checkedBy } = newest;
    return { text, openedAt, isChecked: checkedBy !== null && checkedBy === thisBuild };
  }

  /** Settles once what was opened so far will be found at the next visit. Never rejects. */
  recorded(): Promise<void> {
    return this.#recorded;
  }

  /** Of a manifest that was found right. Pieces that are written from now on wait for it, so that nobody takes them for orphans; reading goes on. */
  remember(
    ...what: [
      url: string,
      text: string,
      manifest: Manifest,
      pieces: Readonly<Record<string, number>>,
    ]
  ): void {
    const remembering = Promise.race([this.#remember(...what), pause(longestRecordingMs)]);
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
      await this.#alone(async () => {
        // The visitor may have cleared the storage since.
        this.#folders = await openFolders();
        const before = (await this.#readOne(name))?.pieces ?? {};
        const record: ShelfRecord = {
          ...{ url, name: model.name, version: version ?? null, openedAt: Date.now() },
          ...{ pieces: { ...before, ...pieces }, manifest: text, checkedBy: thisBuild },
        };
        const file = await this.#folders.records.getFileHandle(name, { create: true });
        const handle = await openSync(file, 'readwrite');
        try {
          handle.truncate(0);
          handle.write(encode(JSON.stringify(record)), { at: 0 });
        } finally {
          handle.close();
        }
      });
    } catch {
      // Without a record the pieces are still found by their digests, and go first when room is short.
    }
  }

  /** null where the browser does not say in time. */
  kept(): Promise<KeptModel[] | null> {
    return inTime(this.#kept(), startLimits.shelf, null);
  }

  async #kept(): Promise<KeptModel[]> {
    // Not while one is written, which would seem to be missing.
    const records = await this.#alone(async () => [...(await this.#read()).values()]);
    const here = await this.#sizes();
    return records
      .sort((a, b) => b.openedAt - a.openedAt)
      .map(({ url, name, version, openedAt, pieces }, index, all) => ({
        ...{ url, name, version, openedAt },
        bytes: Object.keys(pieces).reduce((sum, digest) => sum + (here.get(digest) ?? 0), 0),
        superseded: all.slice(0, index).some((newer) => newer.url === url),
      }));
  }

  /** Of all pieces that are here whole, as far as their files can be read in time. */
  async digests(): Promise<Set<string>> {
    const sizes = await inTime(this.#sizes(), startLimits.storage, new Map<string, number>());
    return new Set([...sizes].flatMap(([digest, bytes]) => (bytes > 0 ? [digest] : [])));
  }

  /** Removes what was kept of the address, or everything; what other models share stays. Rejects where it takes too long. */
  async forget(url: string | null): Promise<void> {
    const forgetting = this.#alone(async () => {
      for (const [file, record] of await this.#read()) {
        if (url === null || record.url === url) await remove(this.#folders.records, file);
      }
      await this.#removeOrphans();
    });
    const isDone = forgetting.then(() => true);
    if (!(await inTime(isDone, startLimits.shelf, false)))
      throw new Error(`nothing was removed within ${startLimits.shelf} ms`);
  }

  /**
   * Frees so many bytes, if it can: pieces that no record names, then versions that were followed by
   * another at their address, then the models that were not opened for longest; nothing in use.
   */
  async makeRoom(bytes: number): Promise<void> {
    try {
      await this.#alone(async () => {
        let freed = await this.#removeOrphans();
        for (const file of inOrderOfRemoval(await this.#read(), this.#inUse)) {
          if (freed >= bytes) break;
          await remove(this.#folders.records, file);
          freed += await this.#removeOrphans();
        }
      });
    } catch {
      // The write that asked finds out.
    }
  }

  /** Under the lock. Records that cannot be read go as well. Returns the bytes freed. */
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
      // 0 bytes where another tab has it open for writing.
      const size = await handle.getFile().then(
        (file) => file.size - checksumBytes,
        () => 0,
      );
      sizes.set(`sha256:${handle.name}`, Math.max(0, size));
    }
    return sizes;
  }

  /** By file name; files that cannot be read as records are left out: without the lock, one may be being written. */
  async #read(): Promise<Map<string, ShelfRecord>> {
    const records = new Map<string, ShelfRecord>();
    for (const { name } of await filesIn(this.#folders.records)) {
      const record = await this.#readOne(name);
      if (record !== null) records.set(name, record);
    }
    return records;
  }

  async #readOne(name: string): Promise<ShelfRecord | null> {
    try {
      const file = await (await this.#folders.records.getFileHandle(name)).getFile();
      if (file.size > longestRecord) return null;
      const record: unknown = JSON.parse(await file.text());
      return isRecord(record) ? record : null;
    } catch {
      return null;
    }
  }

  /** While no other tab has its turn, unless one does not end it. */
  async #alone<Result>(work: () => Promise<Result>): Promise<Result> {
    let hasBegun = false as boolean;
    const turn = (): Promise<Result> => {
      hasBegun = true;
      return work();
    };
    const signal = AbortSignal.timeout(longestTurnMs);
    try {
      return await navigator.locks.request(lockName, { signal }, turn);
    } catch (error) {
      if (hasBegun || !signal.aborted) throw error;
      return await navigator.locks.request(lockName, { steal: true }, turn);
    }
  }
}

/** Names of records, what goes first first. */
export function inOrderOfRemoval(
  records: ReadonlyMap<string, Pick<ShelfRecord, 'url' | 'openedAt'>>,
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

function isRecord(value: unknown): value is ShelfRecord {
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

/** None where the visitor has just cleared the storage. */
async function filesIn(folder: FileSystemDirectoryHandle): Promise<FileSystemFileHandle[]> {
  const files: FileSystemFileHandle[] = [];
  try {
    for await (const handle of folder.values()) if (isFile(handle)) files.push(handle);
  } catch {
    // What was found until then may still be there.
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
