// The part of the address that names a model of any origin that the build allows: `?model=URL`. What else an address says
// is url/hash_state.ts.
import { isAllowed } from './allowed_origins';
import { BundleError } from './bundle_error';

const parameter = 'model';
/** Beyond this no server takes an address. */
const longestAddress = 4_096;
/** Of an address in a message. */
const longestShown = 200;

/**
 * The model's address, absolute; null where the page's own names none. Throws a BundleError for one that is refused:
 * nothing of it may be fetched then.
 */
export function readModelParameter(
  page: string,
  baseUrl: string,
  allowed: readonly string[],
): string | null {
  const given = new URL(page).searchParams.get(parameter);
  if (given === null || given === '') return null;
  const refused = (reason: 'scheme' | 'credentials' | 'unreadable'): BundleError =>
    new BundleError({ kind: 'address-refused', address: given.slice(0, longestShown), reason });
  if (given.length > longestAddress || !URL.canParse(given, baseUrl)) throw refused('unreadable');
  const url = new URL(given, baseUrl);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw refused('scheme');
  if (url.username !== '' || url.password !== '') throw refused('credentials');
  const { origin } = new URL(page);
  if (!isAllowed(url.href, origin, allowed)) {
    throw new BundleError({
      kind: 'origin-refused',
      origin: url.origin,
      allowed: [origin, ...allowed],
    });
  }
  url.hash = '';
  return url.href;
}

/** The page's address without a model in its query; what else stands there stays. */
export function withoutModelParameter(page: string): string {
  const url = new URL(page);
  url.searchParams.delete(parameter);
  return url.href;
}

/** The page's address with this model in its query; what else stands there stays. */
export function withModelParameter(page: string, address: string): string {
  const url = new URL(page);
  url.searchParams.set(parameter, address);
  return url.href;
}

/** What to call a model before its manifest has come: the folder that it lies in, and its host. */
export function addressLabel(address: string): string {
  const { hostname, pathname } = new URL(address);
  const [last = '', folder = ''] = pathname.split('/').reverse();
  const name = last.endsWith('.json') || last === '' ? folder || last : last;
  return `${name.slice(0, 40)} · ${hostname}`;
}
