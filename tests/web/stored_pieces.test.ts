// Pieces in the browser's private file system: read by range without memory that outlives the read.
import { expect, test } from 'vitest';
import { OpfsStore } from '../../apps/web/src/bundle/storage/opfs_store';
import { RangeArray } from '../../apps/web/src/bundle/weights/byte_ranges';
import { fakeFiles } from './opfs_files';

const mebibyte = 2 ** 20;

/** Bytes that differ from those a whole number of mebibytes away. */
function counted(bytes: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: bytes }, (_, at) => (at * 7 + (at >> 20)) % 251);
}

test('a large weight is read exactly, and the browser is given no large buffer', async () => {
  const fake = fakeFiles();
  const store = new OpfsStore(fake.records);
  const bytes = counted(3 * mebibyte + 12_345);
  expect(await store.write('sha256:aa', bytes)).toBe('kept');
  const piece = await store.open('sha256:aa', bytes.length);
  const large = new Uint8Array(20 * mebibyte);
  const from = 54_321;
  const length = bytes.length - from;
  piece?.read(large.subarray(1000, 1000 + length), from);
  expect(Buffer.compare(large.subarray(1000, 1000 + length), bytes.subarray(from))).toBe(0);
  expect(large.subarray(0, 1000).every((byte) => byte === 0)).toBe(true);
  expect(large.subarray(1000 + length, 2000 + length).every((byte) => byte === 0)).toBe(true);
  expect(Math.max(...fake.readInto)).toBeLessThanOrEqual(mebibyte);
  expect(() => piece?.read(large.subarray(0, 100), bytes.length - 99)).toThrow(RangeError);
  // A file that became shorter while it is open.
  fake.files.set('aa', bytes.slice(0, 2 * mebibyte));
  expect(() => piece?.read(large.subarray(0, length), from)).toThrow(RangeError);
});

test('memory of a large part is freed before the next one, that of small parts is used again', () => {
  const whole = counted(20 * mebibyte);
  const array = new RangeArray(
    {
      bytes: whole.length,
      read: (into, at) => {
        into.set(whole.subarray(at, at + into.length));
      },
    },
    () => undefined,
  );
  const large = array.subarray(0, 17 * mebibyte);
  expect(Buffer.compare(large, whole.subarray(0, 17 * mebibyte))).toBe(0);
  const small = array.subarray(1, 3);
  expect(small.buffer.byteLength).toBe(2);
  expect([...small]).toEqual([...whole.subarray(1, 3)]);
  const again = array.subarray(5, 6);
  expect(again.buffer).toBe(small.buffer);
});
