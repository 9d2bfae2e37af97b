// Which browsers the tours use: named by the environment, which scripts/find_browsers.py fills, or where Debian puts them.
import { isExecutable } from '../browser/find_chromium';
import { startFirefox } from './firefox';
import type { Session } from './webdriver';
import { startWebKit } from './webkit';

const places = {
  ORIEL_FIREFOX: ['/usr/bin/firefox-esr', '/usr/bin/firefox'],
  ORIEL_WEBKIT_DRIVER: ['/usr/bin/WebKitWebDriver'],
  ORIEL_WEBKIT_BROWSER: [
    '/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser',
    '/usr/lib/x86_64-linux-gnu/webkit2gtk-4.0/MiniBrowser',
    '/usr/lib/aarch64-linux-gnu/webkit2gtk-4.1/MiniBrowser',
  ],
  ORIEL_XVFB: ['/usr/bin/Xvfb'],
} as const;

function programFor(variable: keyof typeof places): string {
  const found = process.env[variable] ?? places[variable].find(isExecutable);
  if (found !== undefined) return found;
  throw new Error(
    `${variable} names no program and none is at ${places[variable].join(', ')}; ` +
      'make test-browsers installs what is missing on Debian',
  );
}

export const browsers: Readonly<Record<'firefox' | 'webkit', () => Promise<Session>>> = {
  firefox: () => startFirefox(programFor('ORIEL_FIREFOX')),
  webkit: () =>
    startWebKit({
      driver: programFor('ORIEL_WEBKIT_DRIVER'),
      browser: programFor('ORIEL_WEBKIT_BROWSER'),
      screen: programFor('ORIEL_XVFB'),
    }),
};
