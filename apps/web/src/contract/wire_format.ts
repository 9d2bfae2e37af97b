// Reads and writes Protocol Buffers' wire format: the fields of one message, for the few of ONNX that the page needs.
// bundle/onnx/onnx_model.ts and validate_tap_bytes.ts know their meaning. Bytes are untrusted: whatever they hold,
// reading ends, perhaps with a WireError.

/** Thrown for a message that is cut off or breaks the format's rules. */
export class WireError extends RangeError {}

export interface Field {
  readonly number: number;
  /** 0: varint; 1: eight bytes; 2: a length and its bytes; 5: four bytes. */
  readonly wire: 0 | 1 | 2 | 5;
  /** Content of a message, string or bytes field, as a view; null for other wire types. */
  readonly bytes: Uint8Array<ArrayBuffer> | null;
  /** Value of a varint below 2^53; null for larger and negative numbers and for other wire types. */
  readonly value: number | null;
  /** The field's place in its message, with its number and type. */
  readonly start: number;
  readonly end: number;
}

/** A varint of 64 bits has at most this many bytes. */
const maxVarintBytes = 10;

/** Maximum number of fields in one message. Fields may take only two bytes, so gigabytes could hold too many. */
export const maxFields = 4_000_000;

/** A position in bytes that are read from start to end. Each method throws a WireError where they end too early. */
class Cursor {
  #at = 0;
  readonly #bytes: Uint8Array<ArrayBuffer>;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#bytes = bytes;
  }

  get at(): number {
    return this.#at;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  take(length: number): Uint8Array<ArrayBuffer> {
    if (length > this.#bytes.length - this.#at) {
      throw new WireError('the message ends inside a field');
    }
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  /** Read a varint; null beyond 2^53. */
  varint(): number | null {
    let value = 0;
    let scale = 1;
    for (let count = 1; count <= maxVarintBytes; count++) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw new WireError('the message ends inside a field');
      value += (byte & 127) * scale;
      scale *= 128;
      if (byte < 128) return value <= Number.MAX_SAFE_INTEGER ? value : null;
    }
    throw new WireError(`a number takes more than ${maxVarintBytes} bytes`);
  }

  /** Read a varint below 2^53. */
  exact(): number {
    const value = this.varint();
    if (value === null) throw new WireError('a length is beyond 2^53');
    return value;
  }
}

/** Yield the fields of a message. Throws a WireError where it ends inside a field or is not a message. */
export function* fields(message: Uint8Array<ArrayBuffer>): Generator<Field> {
  const cursor = new Cursor(message);
  for (let count = 0; !cursor.isAtEnd; count++) {
    if (count === maxFields) throw new WireError(`a message has over ${maxFields} fields`);
    const start = cursor.at;
    const key = cursor.exact();
    const number = Math.floor(key / 8);
    if (number === 0) throw new WireError('a field has the number 0');
    const content = contentOf(cursor, key % 8);
    yield { number, ...content, start, end: cursor.at };
  }
}

function contentOf(cursor: Cursor, wire: number): Pick<Field, 'wire' | 'bytes' | 'value'> {
  switch (wire) {
    case 0:
      return { wire, bytes: null, value: cursor.varint() };
    case 1:
      cursor.take(8);
      return { wire, bytes: null, value: null };
    case 2:
      return { wire, bytes: cursor.take(cursor.exact()), value: null };
    case 5:
      cursor.take(4);
      return { wire, bytes: null, value: null };
    default:
      throw new WireError(`wire type ${wire} is not one of protobuf's`);
  }
}

/** Yield the numbers of a packed field; null for one beyond 2^53. */
export function* packedVarints(content: Uint8Array<ArrayBuffer>): Generator<number | null> {
  const cursor = new Cursor(content);
  while (!cursor.isAtEnd) yield cursor.varint();
}

/** Yield the contents of the message, string or bytes fields with this number. */
export function* messages(
  message: Uint8Array<ArrayBuffer>,
  number: number,
): Generator<Uint8Array<ArrayBuffer>> {
  for (const field of fields(message)) {
    if (field.number === number && field.bytes !== null) yield field.bytes;
  }
}

/** Write a message, a string or bytes as a field with this number. */
export function writeField(number: number, content: readonly number[]): number[] {
  return [...writeHeader(number, content.length), ...content];
}

/** Write the number and the length of such a field, for a content of so many bytes that follows. */
export function writeHeader(number: number, length: number): number[] {
  return [...writeVarint(number * 8 + 2), ...writeVarint(length)];
}

/** Write an integer from 0 to 2^53 - 1 as a field with this number. */
export function writeNumber(number: number, value: number): number[] {
  return [...writeVarint(number * 8), ...writeVarint(value)];
}

export function writeText(number: number, text: string): number[] {
  return writeField(number, [...new TextEncoder().encode(text)]);
}

function writeVarint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) + 128);
  }
}
