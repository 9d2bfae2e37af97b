// Bytes as text and back: base64, with gzip where many numbers are stored.

/** Bytes turned into characters at a time: a call takes only so many arguments. */
const AT_ONCE = 0x8000;

export function toBase64(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += AT_ONCE)
    text += String.fromCharCode(...bytes.subarray(at, at + AT_ONCE));
  return btoa(text);
}

/** Throws a RangeError for text that isn't base64. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  let decoded: string;
  try {
    decoded = atob(text);
  } catch (cause) {
    throw new RangeError('text that is not base64', { cause });
  }
  return Uint8Array.from(decoded, (character) => character.charCodeAt(0));
}

export async function compressed(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return toBase64(await through(bytes, new CompressionStream('gzip')));
}

/** Expand to at most `limit` bytes. Throws a RangeError for other data than `compressed` makes, or more. */
export async function expanded(text: string, limit: number): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await through(fromBase64(text), new DecompressionStream('gzip'), limit);
  } catch (cause) {
    if (cause instanceof RangeError) throw cause;
    throw new RangeError('compressed numbers that are damaged', { cause });
  }
}

async function through(
  bytes: Uint8Array<ArrayBuffer>,
  stream: CompressionStream | DecompressionStream,
  limit = Infinity,
): Promise<Uint8Array<ArrayBuffer>> {
  const reader = new Blob([bytes]).stream().pipeThrough(stream).getReader();
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > limit) {
      await reader.cancel();
      throw new RangeError(`more than ${limit} bytes of numbers`);
    }
    parts.push(value);
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
