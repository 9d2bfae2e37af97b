// Memory of Chromium's processes as Linux counts it. Needs /proc.
import { readdirSync, readFileSync } from 'node:fs';

/** Resident set of the largest page process of this browser profile, in bytes: the peak so far, and now. */
export function memoryOfPage(profile: string): { peak: number; after: number } {
  const pages = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
        if (!command.includes('--type=renderer') || !isOf(pid, profile)) return [];
        const status = readFileSync(`/proc/${pid}/status`, 'utf8');
        const bytes = (key: string): number =>
          Number(new RegExp(`${key}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0) * 1024;
        return [{ peak: bytes('VmHWM'), after: bytes('VmRSS') }];
      } catch {
        // It has ended meanwhile.
        return [];
      }
    });
  if (pages.length === 0) throw new Error('no page process was found: is this Linux?');
  return pages.reduce((largest, page) => (page.peak > largest.peak ? page : largest));
}

/** Page processes do not name the profile; the browser process that they descend from does. */
function isOf(pid: string, profile: string): boolean {
  for (let at = pid; at !== '0' && at !== '1' && at !== '';) {
    if (readFileSync(`/proc/${at}/cmdline`, 'utf8').includes(profile)) return true;
    at = /PPid:\s+(\d+)/.exec(readFileSync(`/proc/${at}/status`, 'utf8'))?.[1] ?? '';
  }
  return false;
}
