// The checksum is XXH64, byte by byte as its specification has it, and tells each flipped bit.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { checksumBytes, storageChecksum } from '../../apps/web/src/bundle/storage/storage_checksum';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

test('it is what the algorithm gives for texts that its authors name', async () => {
  expect(hex(await storageChecksum(encode('')))).toBe('ef46db3751d8e999');
  expect(hex(await storageChecksum(encode('a')))).toBe('d24ec4f1a98c6e5b');
  expect(hex(await storageChecksum(encode('abc')))).toBe('44bc2cf5ad770999');
});

test('a flipped bit changes it, and many may be asked for at once', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ minLength: 1, maxLength: 4096 }),
      fc.nat(),
      async (bytes, where) => {
        const changed = bytes.slice();
        const at = where % changed.length;
        changed[at] = (changed[at] ?? 0) ^ (1 << (where % 8));
        const [one, other, again] = await Promise.all(
          [bytes, changed, bytes].map((each) => storageChecksum(each)),
        );
        expect(one).toHaveLength(checksumBytes);
        expect(again).toEqual(one);
        expect(other).not.toEqual(one);
      },
    ),
  );
});
