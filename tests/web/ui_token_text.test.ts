// Tokens are shown whole: nothing invisible, nothing dropped, broken UTF-8 as its bytes.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { joinedText, tokenLabel, tokenSegments } from '../../apps/web/src/analysis/token_text';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

test.each([
  [' the', '␣the'],
  ['\n\n', '↵↵'],
  ['\t x', '⇥␣x'],
  ['你好', '你好'],
  ['é', 'é'],
  ['😀', '😀'],
  ['<img src=x onerror=alert(1)>', '<img␣src=x␣onerror=alert(1)>'],
  ['\u200b', 'U+200B'],
  ['\u202eabc', 'U+202Eabc'],
  ['\u00a0', 'U+00A0'],
  ['\u0000', 'U+0000'],
  ['\ufeff', 'U+FEFF'],
  ['', ''],
])('%j is shown as %j', (text, label) => {
  expect(tokenLabel(utf8(text))).toBe(label);
});

test('parts of a character are shown as bytes, one by one', () => {
  expect(tokenSegments(Uint8Array.of(0xe4, 0xbd))).toEqual([{ kind: 'bytes', text: 'E4 BD' }]);
  expect(tokenSegments(Uint8Array.of(0xa0, 0x61))).toEqual([
    { kind: 'bytes', text: 'A0' },
    { kind: 'text', text: 'a' },
  ]);
  // Overlong, surrogate and too large: not UTF-8, though the first bytes look like it.
  expect(tokenLabel(Uint8Array.of(0xc0, 0xaf))).toBe('C0 AF');
  expect(tokenLabel(Uint8Array.of(0xed, 0xa0, 0x80))).toBe('ED A0 80');
  expect(tokenLabel(Uint8Array.of(0xf5, 0x80, 0x80, 0x80))).toBe('F5 80 80 80');
});

test('no byte is lost', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const back: number[] = [];
      const marks: Record<string, string> = { '␣': ' ', '↵': '\n', '⇥': '\t', '␍': '\r' };
      for (const { kind, text } of tokenSegments(bytes)) {
        if (kind === 'bytes') back.push(...text.split(' ').map((hex) => parseInt(hex, 16)));
        else if (kind === 'hidden') {
          const code = parseInt(text.slice(2), 16);
          back.push(...utf8(String.fromCodePoint(code)));
        } else if (kind === 'space')
          back.push(...utf8(Array.from(text, (mark) => marks[mark] ?? '').join('')));
        else back.push(...utf8(text.replace(/^◌(?=\p{M})/u, '')));
      }
      expect(back).toEqual([...bytes]);
    }),
  );
});

test('characters split over tokens come together again in the text', () => {
  const whole = utf8('a你');
  expect(joinedText([whole.subarray(0, 2), whole.subarray(2, 3), whole.subarray(3)])).toBe('a你');
  expect(joinedText([whole.subarray(0, 3)])).toBe('a\ufffd');
});
