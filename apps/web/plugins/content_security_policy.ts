// Writes the page's Content-Security-Policy into the built index.html, and sends it as a header from the development
// and preview servers. The origins that models may come from are read by src/bundle/allowed_origins.ts, for the page
// too.
import { createHash } from 'node:crypto';
import { loadEnv, type Plugin } from 'vite';
import { allowedOrigins } from '../src/bundle/address/allowed_origins.ts';

/** Return the policy of a page that connects to its own host and `origins`, such as `https://models.example`. */
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
        // Before everything that the policy must apply to, but after the encoding, which browsers look for in the first
        // 1024 bytes.
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

/**
 * Return a file name that changes with the policy: the service worker of an older deploy may serve the script, and
 * would add its own policy to it.
 */
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
    // A picture is exported as a PNG through a data: URL.
    'img-src': ["'self'", 'data:'],
    'font-src': ["'self'"],
    'connect-src': ["'self'", ...origins],
    'manifest-src': ["'self'"],
    'base-uri': ["'none'"],
    'form-action': ["'none'"],
    // Only Svelte's templates may turn strings into markup, and src/host/trusted_scripts.ts into scripts' addresses.
    'require-trusted-types-for': ["'script'"],
    'trusted-types': ['svelte-trusted-html', 'default'],
  };
}

/** Relax the policy for the development server, which injects styles, uses a WebSocket and shows its own errors. */
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

/** Return the policy as a header, with `frame-ancestors`, which browsers ignore in a policy inside the page. */
function header(policy: string): Record<string, string> {
  return { 'Content-Security-Policy': `${policy}; frame-ancestors 'self'` };
}
