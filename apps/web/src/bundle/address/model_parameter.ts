// The part of the page's address that names a model, from any origin that the build allows: `?model=URL`. The rest of
// the address is read by url/hash_state.ts.
import { isAllowed } from './allowed_origins';
import { BundleError } from '../bundle_error';

const parameter = 'model';
/** Maximum length of an address, in characters; servers refuse longer ones. */
const maxAddressLength = 4_096;
/** Maximum length of an address in a message, in characters. */
const maxShownLength = 200;

/**
 * Return the model's absolute address; null where the page's address names none. Throws a BundleError for an address
 * that is refused, from which nothing may be fetched.
 */
export function readModelParameter(
  page: string,
  baseUrl: string,
  allowed: readonly string[],
): string | null {
  const given = new URL(page).searchParams.get(parameter);
  if (given === null || given === '') return null;
  const refused = (reason: 'scheme' | 'credentials' | 'unreadable'): BundleError =>
    new BundleError({ kind: 'address-refused', address: given.slice(0, maxShownLength), reason });
  if (given.length > maxAddressLength || !URL.canParse(given, baseUrl)) throw refused('unreadable');
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

/** Return the page's address without a model in its query; other parameters stay. */
export function withoutModelParameter(page: string): string {
  const url = new URL(page);
  url.searchParams.delete(parameter);
  return url.href;
}

/** Return the page's address with this model in its query; other parameters stay. */
export function withModelParameter(page: string, address: string): string {
  const url = new URL(page);
  url.searchParams.set(parameter, address);
  return url.href;
}

/** Return a label for a model whose manifest has not arrived yet: its folder and its host. */
export function addressLabel(address: string): string {
  const { hostname, pathname } = new URL(address);
  const [last = '', folder = ''] = pathname.split('/').reverse();
  const name = last.endsWith('.json') || last === '' ? folder || last : last;
  return `${name.slice(0, 40)} · ${hostname}`;
}
