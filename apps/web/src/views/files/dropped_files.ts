// Reads the files of a drop or of a file chooser, with their paths. Finding the model's: bundle/sources/local_files.ts.
import { BundleError } from '../../bundle/bundle_error';
import { isJunk, maxFiles, type PlacedFile } from '../../bundle/sources/local_files';

/** Maximum depth of folders: no model lies deeper. */
const deepest = 12;

/** Return the files of an `input`, with their paths in the chosen folder, if one was chosen. */
export function chosenFiles(list: FileList): PlacedFile[] {
  return Array.from(list, (file) => ({ path: file.webkitRelativePath || file.name, file }));
}

/** Read the dropped files. Call it while the drop event is handled: later the browser has no record of them. Rejects
 * with a BundleError. */
export function droppedFiles({ items, files }: DataTransfer): Promise<PlacedFile[]> {
  const entries = Array.from(items, (item) => item.webkitGetAsEntry()).filter(
    (entry) => entry !== null,
  );
  // Files that a script put there have no entries.
  return entries.length === 0 ? Promise.resolve(chosenFiles(files)) : walk(entries);
}

async function walk(entries: readonly FileSystemEntry[]): Promise<PlacedFile[]> {
  const found: PlacedFile[] = [];
  let visited = 0;
  const visit = async (level: readonly FileSystemEntry[], depth: number): Promise<void> => {
    for (const entry of level) {
      if (isJunk(entry.name)) continue;
      if (++visited > maxFiles) throw new BundleError({ kind: 'too-many-files', limit: maxFiles });
      if (isFile(entry)) {
        found.push({ path: entry.fullPath.replace(/^\//, ''), file: await fileOf(entry) });
      } else if (isFolder(entry) && depth < deepest) {
        await visit(await entriesOf(entry), depth + 1);
      }
    }
  };
  await visit(entries, 0);
  return found;
}

function fileOf(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => {
    // The file was removed, or may not be read.
    entry.file(resolve, (cause) => {
      const names = [entry.name];
      reject(new BundleError({ kind: 'files-missing', names, count: 1 }, { cause }));
    });
  });
}

/** Read all entries of a folder: its reader gives about a hundred at a time. */
async function entriesOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => {
      reader.readEntries(resolve, reject);
    });
    if (some.length === 0 || all.length > maxFiles) return all;
    all.push(...some);
  }
}

function isFile(entry: FileSystemEntry): entry is FileSystemFileEntry {
  return entry.isFile;
}

function isFolder(entry: FileSystemEntry): entry is FileSystemDirectoryEntry {
  return entry.isDirectory;
}
