// The page's Content-Security-Policy: into the built index.html, and as a header from the development and preview
// servers. Where models may come from is src/bundle/allowed_origins.ts, which the page itself asks too.
import { createHash } from 'node:crypto';
import { loadEnv, type Plugin } from 'vite';
import { allowedOrigins } from '../src/bundle/allowed_origins.ts';

/** Directives for a page that connects to its own host and `origins`, such as `https://models.example`. */
export function policyFor(origins: readonly string[]): string {
  return policyText(directives(origins));
}

export function contentSecurityPolicy(): Plugin {
  let policy = '';
  return {
    name: 'oriel:content-security-policy',
    config({ root = process.cwd() }, { mode, command }) {
      const environment = loadEnv(mode, root, 'VITE_');
      const origins = allowedOrigins(
        environment['VITE_MODEL_URL'],
        environment['VITE_MODEL_ORIGINS'],
      );
      policy = policyFor(origins);
      return command === 'serve'
        ? {
            server: { headers: header(policyText(developing(directives(origins)))) },
            preview: { headers: header(policy) },
          }
        : { worker: { rolldownOptions: { output: { entryFileNames: workerName(policy) } } } };
    },
    transformIndexHtml: {
      order: 'post',
      handler(html, { server }) {
        if (server !== undefined) return html;
        // Before anything that it is to hold for, but after the encoding, which browsers look for in the first 1024 bytes.
        const encoding = /<meta charset="[\w-]+" ?\/?>/;
        if (!encoding.test(html)) throw new Error('the page has no <meta charset="…">');
        return html.replace(
          encoding,
          (tag) => `${tag}\n    <meta http-equiv="Content-Security-Policy" content="${policy}" />`,
        );
      },
    },
  };
}

/** A worker's policy comes with its script, from a service worker that may be an older deploy's: so other policy, other name. */
function workerName(policy: string): string {
  const digest = createHash('sha256').update(policy).digest('hex').slice(0, 8);
  return `assets/[name]-[hash]-${digest}.js`;
}

type Directives = Readonly<Record<string, readonly string[]>>;

function directives(origins: readonly string[]): Directives {
  return {
    'default-src': ["'none'"],
    'script-src': ["'self'", "'wasm-unsafe-eval'"],
    'worker-src': ["'self'"],
    'style-src': ["'self'"],
    // An exported picture becomes a PNG by way of a data: address.
    'img-src': ["'self'", 'data:'],
    'font-src': ["'self'"],
    'connect-src': ["'self'", ...origins],
    'manifest-src': ["'self'"],
    'base-uri': ["'none'"],
    'form-action': ["'none'"],
    // Strings become markup through Svelte's templates alone, and scripts' addresses through src/host/trusted_scripts.ts.
    'require-trusted-types-for': ["'script'"],
    'trusted-types': ['svelte-trusted-html', 'default'],
  };
}

/** The development server puts styles into the page as it goes, speaks over a socket, and draws its own errors. */
function developing(strict: Directives): Directives {
  const kept = Object.entries(strict).filter(([name]) => !name.includes('trusted-types'));
  return {
    ...Object.fromEntries(kept),
    'style-src': ["'self'", "'unsafe-inline'"],
    'connect-src': [...(strict['connect-src'] ?? []), 'ws:'],
  };
}

function policyText(directives: Directives): string {
  return Object.entries(directives)
    .map(([name, sources]) => [name, ...sources].join(' '))
    .join('; ');
}

/** Who may frame the page is left to a header: a policy in the page may not say it. */
function header(policy: string): Record<string, string> {
  return { 'Content-Security-Policy': `${policy}; frame-ancestors 'self'` };
}
