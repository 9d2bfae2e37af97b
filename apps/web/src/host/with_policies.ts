// Adds headers to a response that its host may not send; headers that the host does send stay.

/** Headers that isolate a page, so that wasm may have threads. Files fetched with CORS need no header for that. */
const isolation = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

/** Add the headers. `policy` is for workers, which don't inherit a page's Content-Security-Policy; null for pages. */
export function withPolicies(response: Response, policy: string | null): Response {
  const { status, statusText, body } = response;
  // An opaque redirect can neither be read nor needs to be changed.
  if (status < 200 || body === null) return response;
  const headers = new Headers(response.headers);
  const added = { ...isolation, ...(policy === null ? {} : { 'Content-Security-Policy': policy }) };
  for (const [name, value] of Object.entries(added)) {
    if (!headers.has(name)) headers.set(name, value);
  }
  return new Response(body, { status, statusText, headers });
}
