// Joins a file that was built in parts, as apps/web/plugins/file_parts.ts does for hosts that refuse large files.

/** Rejects where a part doesn't come. */
export async function joinParts(urls: readonly URL[]): Promise<ArrayBuffer> {
  const parts = await Promise.all(
    urls.map(async (url) => {
      const response = await fetch(url);
      if (!response.ok) throw new Error(`${url.href}: HTTP ${response.status}`);
      return response.arrayBuffer();
    }),
  );
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(new Uint8Array(part), at);
    at += part.byteLength;
  }
  return joined.buffer;
}
