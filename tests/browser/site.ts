// Built pages for tests that need a whole site: two deploys of it, and static hosts to put them on.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test as base, type Page } from '@playwright/test';
import { startSite, type SiteOptions, type StaticSite } from './static_site';

const root = fileURLToPath(new URL('../..', import.meta.url));
const made = 'test-results/browser/site';

/** Not the host's root, as on most hosts of projects. */
export const basePath = '/some/where/';
/** What a host sends that isolates pages. */
export const isolationHeaders = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

export interface Deploys {
  /** Allows models from other ports of localhost. */
  readonly first: string;
  /** Another build, with other scripts; it has no models. */
  readonly second: string;
}

interface Fixtures {
  readonly host: (options?: Partial<SiteOptions>) => Promise<StaticSite>;
}

const deploys: Deploys = { first: join(root, made, 'first'), second: join(root, made, 'second') };

/** Build both, which the project site-build does before all tests of the project site. */
export function buildDeploys(): void {
  const python = process.env['ORIEL_PYTHON'] ?? '.venv/bin/python';
  build(python, ['scripts/build_site.py', '--output', deploys.first, '--base', basePath], {
    VITE_MODEL_ORIGINS: 'http://localhost:*',
  });
  build('npx', ['vite', 'build', 'apps/web', '--outDir', deploys.second, '--logLevel', 'error'], {
    VITE_BASE_PATH: basePath,
    VITE_MODEL_URL: `${basePath}models/demo/manifest.json`,
  });
}

export const test = base.extend<Fixtures & { deploys: Deploys }>({
  // eslint-disable-next-line no-empty-pattern -- Playwright reads from it what a fixture needs
  deploys: async ({}, use) => {
    await use(deploys);
  },
  host: async ({ deploys }, use) => {
    const started: StaticSite[] = [];
    await use(async (options = {}) => {
      const site = await startSite({ folder: deploys.first, base: basePath, ...options });
      started.push(site);
      return site;
    });
    await Promise.all(started.map((site) => site.close()));
  },
});

function build(program: string, command: string[], environment: Record<string, string>): void {
  execFileSync(program, command, {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, ...environment },
  });
}

/** Waits until the model itself has answered, and not what was computed beforehand. */
export async function answered(page: Page, timeout = 60_000): Promise<void> {
  await expect(page.getByTestId('facts')).toBeAttached({ timeout });
  await expect(page.getByTestId('candidate').first()).toBeVisible({ timeout });
}

/** The first script that a deploy's page names, which tells one deploy from another. */
export function entryOf(folder: string): string {
  const html = readFileSync(join(folder, 'index.html'), 'utf8');
  const [, entry] = /src="\/some\/where\/(assets\/index-[\w-]+\.js)"/.exec(html) ?? [];
  if (entry === undefined) throw new Error(`${folder} names no script`);
  return entry;
}

/** Paths below the base that the page keeps for when there is no network. */
export async function keptPaths(page: Page): Promise<string[]> {
  const kept = await page.evaluate(async () => {
    const names = await caches.keys();
    const requests = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
    return requests.flat().map(({ url }) => new URL(url).pathname);
  });
  return kept.map((path) => path.slice(basePath.length)).sort();
}

/** Counts how often the page is loaded from now on. */
export function countLoads(page: Page): { readonly count: number } {
  const loads = { count: 0 };
  page.on('domcontentloaded', () => (loads.count += 1));
  return loads;
}
