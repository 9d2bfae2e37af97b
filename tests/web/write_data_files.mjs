// Writes the page's data files of tensors that come as JSON on standard input: { facts, tensors }, where a tensor has a
// name, a shape, whether it is of whole numbers, and its values. Prints the JSON document and the safetensors file, the
// latter in base64. tests/python/test_page_data_files.py reads both.
import { text } from 'node:stream/consumers';
import { withPageModules } from './page_modules.mjs';

/**
 * @typedef {import('../../apps/web/src/views/save/data_facts').DataFacts} DataFacts
 * @typedef {{ name: string, shape: number[], whole: boolean, values: number[] }} WrittenTensor
 */

await withPageModules(async (load) => {
  const { dataJson, safetensorsFile } =
    /** @type {typeof import('../../apps/web/src/views/save/data_files')} */ (
      await load('views/save/data_files.ts')
    );
  /** @type {unknown} */
  const parsed = JSON.parse(await text(process.stdin));
  const { facts, tensors } = /** @type {{ facts: DataFacts, tensors: WrittenTensor[] }} */ (parsed);
  const saved = tensors.map(({ name, shape, whole, values }) => ({
    name,
    shape,
    data: whole ? Int32Array.from(values) : Float32Array.from(values),
  }));
  const file = safetensorsFile(facts, saved);
  process.stdout.write(
    JSON.stringify({
      json: dataJson(facts, saved),
      safetensors: Buffer.from(file).toString('base64'),
    }),
  );
});
