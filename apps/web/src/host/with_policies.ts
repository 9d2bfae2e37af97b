// A response with the headers that its host may not know to send; what the host does send stays.

/** Together they isolate a page, so that wasm may have threads. What is fetched with CORS needs nothing more. */
const isolation = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

/** `policy` is for workers, which don't inherit a page's Content-Security-Policy; null for pages, which carry it. */
export function withPolicies(response: Response, policy: string | null): Response {
  const { status, statusText, body } = response;
  // Of a redirect nothing can be read, and nothing needs to be changed.
  if (status < 200 || body === null) return response;
  const headers = new Headers(response.headers);
  const added = { ...isolation, ...(policy === null ? {} : { 'Content-Security-Policy': policy }) };
  for (const [name, value] of Object.entries(added)) {
    if (!headers.has(name)) headers.set(name, value);
  }
  return new Response(body, { status, statusText, headers });
}
