// The origins that a build may load models from: one list for the page's own checks and for its
// Content-Security-Policy (apps/web/plugins/content_security_policy.ts). Addresses are read by bundle_url.ts.

/** Stands in VITE_MODEL_ORIGINS for every https origin. */
export const ANY_HTTPS = '*';

/** All hosts below one, `https://*.models.example`, or all ports of one, `http://localhost:*`. */
const wildcardOrigin =
  /^(https?):\/\/(?:\*\.([a-z0-9-]+(?:\.[a-z0-9-]+)+)(?::(\d+))?|([a-z0-9_.-]+):\*)$/;

/** Pattern of an origin whose characters have no other meaning in a Content-Security-Policy. */
const plainOrigin = /^https?:\/\/(?:[a-z0-9_.-]+|\[[0-9a-f:]+\])(?::\d+)?$/;

/**
 * Return the origins besides the page's own, as sources for `connect-src`: `https://models.example`,
 * `https://*.models.example`, `http://localhost:*`, or `https:` for all https. The arguments are the build's settings
 * VITE_MODEL_URL and VITE_MODEL_ORIGINS (comma-separated). Throws an Error for an entry that is no
 * http(s) origin: the build fails then, so no page has such an entry.
 */
export function allowedOrigins(
  modelUrl: string | undefined,
  modelOrigins: string | undefined,
): readonly string[] {
  const listed = (modelOrigins ?? '')
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
    .map(sourceOf);
  const model = modelUrl === undefined ? null : originOfModel(modelUrl);
  return [...new Set(model === null ? listed : [model, ...listed])];
}

/**
 * Return whether a page at `pageOrigin` may fetch the absolute `url` under such a list. This does not
 * see the addresses that redirects lead to; the Content-Security-Policy does.
 */
export function isAllowed(url: string, pageOrigin: string, allowed: readonly string[]): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, origin, hostname, port, username, password } = new URL(url);
  if (protocol !== 'http:' && protocol !== 'https:') return false;
  // A browser refuses to fetch such an address, and a reader mistakes the name for a host.
  if (username !== '' || password !== '') return false;
  if (origin === pageOrigin) return true;
  return allowed.some((source) => {
    if (source === 'https:') return protocol === 'https:';
    const [, scheme, domain, wantedPort, host] = wildcardOrigin.exec(source) ?? [];
    if (scheme === undefined) return origin === source;
    if (domain === undefined) return protocol === `${scheme}:` && hostname === host;
    return (
      protocol === `${scheme}:` &&
      hostname.endsWith(`.${domain}`) &&
      port === portIn(scheme, wantedPort)
    );
  });
}

function sourceOf(entry: string): string {
  if (entry === ANY_HTTPS) return 'https:';
  const lower = entry.toLowerCase();
  if (wildcardOrigin.test(lower)) return lower;
  const given = lower.replace(/\/$/, '').replace(/^(https:.*):443$|^(http:.*):80$/, '$1$2');
  // Anything but the origin itself would be silently ignored, or become a second directive of the policy.
  if (plainOrigin.test(given) && URL.canParse(given) && new URL(given).origin === given) {
    return given;
  }
  throw new Error(
    `VITE_MODEL_ORIGINS names ${JSON.stringify(entry)}; expected origins such as ` +
      'https://models.example or https://*.models.example, separated by commas, or * for any https',
  );
}

/** Return the origin of VITE_MODEL_URL; null for a path on the page's own host. */
function originOfModel(modelUrl: string): string | null {
  if (!URL.canParse(modelUrl)) return null;
  const { protocol, origin } = new URL(modelUrl);
  if ((protocol === 'http:' || protocol === 'https:') && plainOrigin.test(origin)) return origin;
  throw new Error(
    `VITE_MODEL_URL is ${JSON.stringify(modelUrl)}; expected an address of http or https, or a path on the page's host`,
  );
}

function portIn(scheme: string, port: string | undefined): string {
  return port === undefined || new URL(`${scheme}://host:${port}`).port === '' ? '' : port;
}
