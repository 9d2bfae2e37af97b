// Files of numbers: tensors by their contract names, as JSON and as safetensors. Tables as CSV: charts/table_text.ts.
import type { DataFacts } from './data_facts';
import type { SavedTensor } from './saved_tensors';

/** Return a JSON document with the facts, and under `tensors` the dtype, shape and flat values of each. */
export function dataJson(facts: DataFacts, tensors: readonly SavedTensor[]): string {
  const head = JSON.stringify(facts).slice(0, -1);
  const each = tensors.map(
    ({ name, shape, data }) =>
      `${JSON.stringify(name)}:{"dtype":"${dtypeOf(data).name}","shape":[${shape.join()}],"values":[${numbersText(data)}]}`,
  );
  return `${head},"tensors":{\n${each.join(',\n')}\n}}\n`;
}

/** Return a safetensors file. Its metadata has each fact as text, under a name that begins with `oriel.`. */
export function safetensorsFile(
  facts: DataFacts,
  tensors: readonly SavedTensor[],
): Uint8Array<ArrayBuffer> {
  const metadata = Object.entries(facts).map(([key, value]) => [
    `oriel.${key}`,
    typeof value === 'string' ? value : JSON.stringify(value),
  ]);
  const header: Record<string, unknown> = { __metadata__: Object.fromEntries(metadata) };
  let end = 0;
  for (const { name, shape, data } of tensors) {
    const from = end;
    const { code, bytes } = dtypeOf(data);
    end += data.length * bytes;
    header[name] = { dtype: code, shape, data_offsets: [from, end] };
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  // Numbers begin at a multiple of 8, as readers that map the file need it.
  const padded = Math.ceil(text.length / 8) * 8;
  const file = new Uint8Array(8 + padded + end);
  const view = new DataView(file.buffer);
  view.setBigUint64(0, BigInt(padded), true);
  file.fill(0x20, 8, 8 + padded);
  file.set(text, 8);
  let at = 8 + padded;
  for (const { data } of tensors) {
    for (const value of data) {
      if (data instanceof Int32Array) view.setBigInt64(at, BigInt(value), true);
      else view.setFloat32(at, value, true);
      at += dtypeOf(data).bytes;
    }
  }
  return file;
}

function dtypeOf(data: SavedTensor['data']): { name: string; code: string; bytes: number } {
  return data instanceof Int32Array
    ? { name: 'int64', code: 'I64', bytes: 8 }
    : { name: 'float32', code: 'F32', bytes: 4 };
}

/** Write numbers with the nine digits that tell every float32 from its neighbours; JSON has null for no number. */
function numbersText(data: SavedTensor['data']): string {
  return Array.from(data, (value) =>
    Number.isFinite(value) ? String(Number(value.toPrecision(10))) : 'null',
  ).join();
}
