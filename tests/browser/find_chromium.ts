// Finds a Chromium that is already on the machine: the tests never download one.
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** `ORIEL_CHROMIUM`, or the first Chromium or Chrome on the path. */
export function findChromium(): string {
  const chosen = process.env['ORIEL_CHROMIUM'];
  if (chosen !== undefined) return chosen;
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const found = names
    .flatMap((name) => folders.map((folder) => join(folder, name)))
    .find(isExecutable);
  if (found !== undefined) return found;
  throw new Error(
    'No Chromium was found. Install one (Debian, Ubuntu: apt-get install chromium), ' +
      'or set ORIEL_CHROMIUM to the path of its program.',
  );
}

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
