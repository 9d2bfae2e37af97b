// A saved analysis: what is read back is what was written, nothing in it can end the element that holds it, damaged
// records are refused in a sentence, and messages of other forms or displays are nobody's.
import { expect, test } from 'vitest';
import { messageFromFrame, messageToFrame } from '../../apps/web/src/embed/embed_messages';
import type { ModelRecord } from '../../apps/web/src/contract/generated';
import {
  compressed,
  expanded,
  fromBase64,
  toBase64,
} from '../../apps/web/src/saved_page/bytes_text';
import { messageFromPage, messageToPage } from '../../apps/web/src/saved_page/kernel_messages';
import { filledPage, recordText } from '../../apps/web/src/saved_page/page_file';
import { readRecord } from '../../apps/web/src/saved_page/read_record';
import type { AnalysisRecord } from '../../apps/web/src/saved_page/record';
import { standingAlone, withFields } from '../../apps/web/src/url/hash_state';

const model = {
  name: '</script><script>alert(1)</script>\u2028&amp;<!--',
  architecture: 'gpt2',
  source: { kind: 'bundled', id: 'x', revision: null },
  weights_digest: 'sha256:00',
  parameters: 1,
  shape: {
    layers: 1,
    hidden: 2,
    heads: 1,
    kv_heads: 1,
    head_dim: 2,
    intermediate: 2,
    vocab: 3,
    context_length: 4,
    parallel_residual: false,
  },
  tied_embeddings: false,
} as unknown as ModelRecord;

/** Write a safetensors file by hand, from its format's description. */
function safetensors(
  tensors: Readonly<Record<string, [number[], Float32Array | BigInt64Array]>>,
): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = {};
  const bodies: Uint8Array[] = [];
  let end = 0;
  for (const [name, [shape, data]] of Object.entries(tensors)) {
    const dtype = data instanceof Float32Array ? 'F32' : 'I64';
    header[name] = { dtype, shape, data_offsets: [end, end + data.byteLength] };
    end += data.byteLength;
    bodies.push(new Uint8Array(data.buffer));
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const length = new Uint8Array(BigUint64Array.of(BigInt(text.length)).buffer);
  return Uint8Array.from([...length, ...text, ...bodies.flatMap((body) => [...body])]);
}

const attention = Float32Array.of(1, 0, 0.25, 0.75);

async function record(changes: Partial<AnalysisRecord> = {}): Promise<AnalysisRecord> {
  const file = safetensors({
    input_ids: [[1, 2], BigInt64Array.of(2n, 1n)],
    logits: [[1, 1, 3], Float32Array.of(0.5, -1, 2)],
    layer_0_attn_probs: [[1, 1, 2, 2], attention],
  });
  return {
    analysis_version: '1.0',
    contract_version: '2.1',
    model,
    variant: { name: 'fp32', precision: 'fp32' },
    lens: 'logit',
    lens_packs: [],
    runtime: 'a runtime',
    prompt: '',
    typed: 2,
    edits: {
      edits_version: '1.0',
      edits: [{ edit: 'scale', joint: 'attn_z', layer: 0, head: 0, factor: 0 }],
    },
    pieces: [
      [1, toBase64(new TextEncoder().encode('一'))],
      [2, toBase64(Uint8Array.of(0xe4))],
    ],
    tensors: await compressed(file),
    untouched: null,
    state: 'link=1&h=0.0',
    link: null,
    kernel: null,
    ...changes,
  };
}

test('a record is read back as an answer', async () => {
  const { model: read, answer } = await readRecord(recordText(await record()));
  expect(read.manifest.model.name).toBe(model.name);
  expect(answer.tokens.map(({ id, label, generated }) => [id, label, generated])).toEqual([
    [2, 'E4', false],
    [1, '一', false],
  ]);
  expect(answer.activations.get('layer_0_attn_probs')?.row(1, 0)).toEqual(
    Float32Array.of(0.25, 0.75),
  );
  expect([...answer.activations.lastLogits]).toEqual([0.5, -1, 2]);
  expect(answer.interventions).toHaveLength(1);
  // A file takes no edits and opens nothing; with a kernel the same record does.
  expect(read.variant.open).toBeUndefined();
  const kernel = { token: 't', openable: ['layer_0_attn_probs', 'layer_0_mlp_act'] };
  const live = await readRecord(recordText(await record({ kernel })));
  expect(live.model.variant.open).toBeDefined();
  expect(live.model.variant.taps.flatMap(({ outputs }) => outputs.map(({ name }) => name))).toEqual(
    ['layer_0_mlp_act'],
  );
});

test('nothing in a record ends or begins an element', async () => {
  const template = 'a<script type="application/json" id="oriel-analysis"></script>b';
  const page = filledPage(template, await record());
  const inside = page.slice(page.indexOf('>') + 1, page.lastIndexOf('</script>'));
  expect(inside).not.toMatch(/[<>&\u2028\u2029]/);
  expect((JSON.parse(inside) as AnalysisRecord).model.name).toBe(model.name);
  expect(() => filledPage('<html>not found</html>', {} as AnalysisRecord)).toThrow(RangeError);
  expect(() => filledPage(template + template, {} as AnalysisRecord)).toThrow(RangeError);
});

const broken: [what: string, changes: Partial<Record<keyof AnalysisRecord, unknown>>, RegExp][] = [
  ['another version', { analysis_version: '2.0' }, /version 2\.0 instead of 1\.x/],
  ['no version', { analysis_version: 1 }, /version 1 instead/],
  ['a name that is no text', { model: { ...model, name: 1 } }, /whose model/],
  ['an address that is a script', { link: 'javascript:alert(1)' }, /whose link/],
  ['numbers that are cut', { tensors: 'H4sIAAAA' }, /compressed numbers that are damaged/],
  ['numbers that are no base64', { tensors: '***' }, /not base64/],
  ['pieces of another form', { pieces: [[1]] }, /whose pieces/],
  ['a kernel without a token', { kernel: { openable: [] } }, /whose kernel/],
];
test.each(broken)('a record with %s is refused', async (_, changes, message) => {
  const text = JSON.stringify({ ...(await record()), ...changes });
  await expect(readRecord(text)).rejects.toThrow(message);
});

test('a record whose tensors do not fit its model is refused', async () => {
  const tensors = (entries: Parameters<typeof safetensors>[0]): Promise<string> =>
    compressed(safetensors(entries));
  const ids: [number[], BigInt64Array] = [[1, 2], BigInt64Array.of(2n, 1n)];
  const logits: [number[], Float32Array] = [[1, 1, 3], Float32Array.of(0.5, -1, 2)];
  const cases: [Awaited<ReturnType<typeof tensors>>, RegExp][] = [
    [await tensors({ input_ids: [[1, 1], BigInt64Array.of(3n)], logits }), /input_ids/],
    [await tensors({ input_ids: ids, logits: [[1, 1, 2], Float32Array.of(1, 2)] }), /logits/],
    [
      await tensors({ input_ids: ids, logits, layer_3_attn_probs: [[1, 1, 2, 2], attention] }),
      /layer_3/,
    ],
    [await tensors({ input_ids: ids, logits, layer_0_attn_probs: [[1, 4], attention] }), /layer_0/],
  ];
  for (const [text, message] of cases)
    await expect(readRecord(recordText(await record({ tensors: text })))).rejects.toThrow(message);
});

test('compressed numbers expand to no more than is allowed', async () => {
  const bytes = new Uint8Array(100_000);
  const text = await compressed(bytes);
  expect(text.length).toBeLessThan(1000);
  expect((await expanded(text, 100_000)).length).toBe(100_000);
  await expect(expanded(text, 99_999)).rejects.toThrow(/more than 99999 bytes/);
  expect([...fromBase64(toBase64(Uint8Array.of(0, 255, 128)))]).toEqual([0, 255, 128]);
});

test('messages of another display or form are nobody’s', () => {
  const question = {
    prompt: null,
    ids: [1],
    edits: { edits_version: '1.0', edits: [] },
    activations: ['layer_0_attn_probs'],
    lens: 'logit',
  };
  expect(messageFromPage({ oriel: 'ask', token: 'a', question }, 'a')).toEqual({
    oriel: 'ask',
    token: 'a',
    question,
  });
  for (const other of [
    { oriel: 'ask', token: 'b', question },
    { oriel: 'ask', token: 'a', question: { ...question, ids: ['1'] } },
    { oriel: 'ask', token: 'a', question: { ...question, edits: null } },
    { oriel: 'told', token: 'a' },
    'hello',
    null,
  ])
    expect(messageFromPage(other, 'a')).toBeNull();
  expect(messageToPage({ oriel: 'answer', token: 'a', record: '{}' }, 'a')?.oriel).toBe('answer');
  expect(messageToPage({ oriel: 'answer', token: 'a', record: {} }, 'a')).toBeNull();
  expect(messageToPage({ oriel: 'ready', token: 'b' }, 'a')).toBeNull();
  expect(messageFromFrame({ oriel: 'size', height: 12 })).toEqual({ oriel: 'size', height: 12 });
  for (const height of [0, -1, Infinity, NaN, '12', 1e9])
    expect(messageFromFrame({ oriel: 'size', height })).toBeNull();
  expect(messageFromFrame({ oriel: 'change', state: 'p=a', link: 3 })).toBeNull();
  expect(messageFromFrame({ oriel: 'follow', state: '' })).toBeNull();
  expect(messageToFrame({ oriel: 'follow', state: 'x'.repeat(64_001) })).toBeNull();
  expect(messageToFrame({ oriel: 'change', state: '', link: '' })).toBeNull();
  expect(messageToFrame({ oriel: 'set', fields: { p: 'a', h: null } })?.oriel).toBe('set');
  expect(messageToFrame({ oriel: 'set', fields: { p: 1 } })).toBeNull();
});

test('a link to the page by itself is of the same state', () => {
  expect(standingAlone('link=1&p=a%26b&embed=1&only=next')).toBe('link=1&p=a%26b&only=next');
  expect(withFields('link=1&p=a&h=1.2', { p: 'b&c', h: null, lang: 'zh' })).toBe(
    'link=1&p=b%26c&lang=zh',
  );
});
