// The files of a drop, or of a file chooser, with the places they lay at. Which of them are a model: bundle/local_files.ts.
import { BundleError } from '../../bundle/bundle_error';
import { isJunk, mostFiles, type PlacedFile } from '../../bundle/local_files';

/** A folder below this many others is nobody's model. */
const deepest = 12;

/** Of an `input`: files have their place in the folder that was chosen, if one was. */
export function chosenFiles(list: FileList): PlacedFile[] {
  return Array.from(list, (file) => ({ path: file.webkitRelativePath || file.name, file }));
}

/** Must be called while the drop is handled: afterwards the browser forgets what was dropped. Rejects with a BundleError. */
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
      if (++visited > mostFiles)
        throw new BundleError({ kind: 'too-many-files', limit: mostFiles });
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
    // It went, or may not be read.
    entry.file(resolve, (cause) => {
      const names = [entry.name];
      reject(new BundleError({ kind: 'files-missing', names, count: 1 }, { cause }));
    });
  });
}

/** A reader gives a hundred or so at a time. */
async function entriesOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => {
      reader.readEntries(resolve, reject);
    });
    if (some.length === 0 || all.length > mostFiles) return all;
    all.push(...some);
  }
}

function isFile(entry: FileSystemEntry): entry is FileSystemFileEntry {
  return entry.isFile;
}

function isFolder(entry: FileSystemEntry): entry is FileSystemDirectoryEntry {
  return entry.isDirectory;
}
