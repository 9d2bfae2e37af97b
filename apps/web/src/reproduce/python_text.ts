// Writes values and foreign text as Python source: no text of a model or a prompt can end its literal or its comment.

/** Longest list of numbers that is written out digit by digit; a longer one is written as base64 of float32. */
const LONGEST_LIST = 256;
const LINE = 96;

/** Return a Python string literal of the text. */
export function pythonString(text: string): string {
  return `"${visible(text).replaceAll('"', '\\"')}"`;
}

/** Return text for the inside of a comment, on one line. */
export function commentText(text: string): string {
  return visible(text);
}

/** Escape backslashes and all that cannot be seen: controls, line breaks, and characters that reorder or hide text. */
function visible(text: string): string {
  return Array.from(text, (character) => {
    if (character === '\\') return '\\\\';
    if (/^[ -~]$|^[\p{L}\p{N}\p{P}\p{S}]$/u.test(character)) return character;
    const code = character.codePointAt(0) ?? 0;
    if (code > 0xffff) return `\\U${code.toString(16).padStart(8, '0')}`;
    return `\\u${code.toString(16).padStart(4, '0')}`;
  }).join('');
}

/** Return the shortest decimal that is the same float32. */
export function pythonNumber(value: number): string {
  const single = Math.fround(value);
  if (Number.isNaN(single)) return 'float("nan")';
  if (!Number.isFinite(single)) return single > 0 ? 'float("inf")' : 'float("-inf")';
  for (let digits = 1; digits < 9; digits++) {
    const text = single.toPrecision(digits);
    if (Math.fround(Number(text)) === single) return decimal(Number(text));
  }
  return decimal(Number(single.toPrecision(9)));
}

function decimal(value: number): string {
  const text = String(value);
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}

/** Return a list of whole numbers. */
export function pythonIntegers(values: ArrayLike<number>): string {
  return `[${Array.from(values, String).join(', ')}]`;
}

/** Return a list literal, broken into lines where it is long. */
export function pythonList(items: readonly string[]): string {
  const whole = `[${items.join(', ')}]`;
  if (whole.length <= LINE - 12) return whole;
  const lines: string[] = [];
  let line = '   ';
  for (const item of items) {
    if (line.length + item.length + 2 > LINE && line.trim() !== '') {
      lines.push(line);
      line = '   ';
    }
    line += ` ${item},`;
  }
  return ['[', ...lines, line, ']'].join('\n');
}

/** Return an expression for a float32 tensor. `shape` null makes it flat. */
export function pythonTensor(
  values: ArrayLike<number>,
  shape: readonly number[] | null = null,
): string {
  const flat =
    values.length <= LONGEST_LIST
      ? `torch.tensor(${pythonList(Array.from(values, pythonNumber))})`
      : `torch.frombuffer(bytearray(base64.b64decode(${base64Lines(values)})), dtype=torch.float32)`;
  return shape === null ? flat : `${flat}.reshape(${pythonIntegers(shape)})`;
}

/** Return adjacent string literals with the base64 of the numbers as little-endian float32. */
function base64Lines(values: ArrayLike<number>): string {
  const view = new DataView(new ArrayBuffer(4 * values.length));
  for (let at = 0; at < values.length; at++) view.setFloat32(4 * at, values[at] ?? 0, true);
  const bytes = new Uint8Array(view.buffer);
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 66)
    lines.push(`    "${btoa(String.fromCharCode(...bytes.subarray(at, at + 66)))}"`);
  return `\n${lines.join('\n')}\n`;
}
