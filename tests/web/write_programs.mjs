// Writes the scripts and notebooks that the page gives for numbers. Requests come as JSON on standard input; prints what
// was written for each, and the page's table of module paths. tests/python/test_page_scripts.py calls it and runs them.
import { text } from 'node:stream/consumers';
import { withPageModules } from './page_modules.mjs';

/**
 * @typedef {import('../../apps/web/src/inference/interventions').Intervention} Intervention
 * @typedef {import('../../apps/web/src/inference/interventions').JointClosing} JointClosing
 * @typedef {import('../../apps/web/src/reproduce/shown_numbers').ShownNumbers} ShownNumbers
 * @typedef {import('../../apps/web/src/reproduce/program').ShownRun} ShownRun
 * @typedef {{ dims: number[], data: number[], mask: boolean }} WrittenTensor
 * @typedef {Pick<JointClosing, 'joint' | 'layer' | 'closing'> & { positions: [number, number] | null, tensors: Record<string, WrittenTensor> }} WrittenClosing
 * @typedef {{ shown: ShownNumbers, run: Omit<ShownRun, 'interventions' | 'labelOf'>, labels: Record<string, string>, edits: unknown[], closings: WrittenClosing[] }} Request
 */

await withPageModules(async (load) => {
  const { programFor } = /** @type {typeof import('../../apps/web/src/reproduce/program')} */ (
    await load('reproduce/program.ts')
  );
  const { pythonScript } =
    /** @type {typeof import('../../apps/web/src/reproduce/python_script')} */ (
      await load('reproduce/python_script.ts')
    );
  const { notebook } = /** @type {typeof import('../../apps/web/src/reproduce/notebook')} */ (
    await load('reproduce/notebook.ts')
  );
  const { MODULE_PATHS: paths } =
    /** @type {typeof import('../../apps/web/src/reproduce/module_paths')} */ (
      await load('reproduce/module_paths.ts')
    );
  const { editsFromJson } = /** @type {typeof import('../../apps/web/src/inference/edit_json')} */ (
    await load('inference/edit_json.ts')
  );
  /** @type {unknown} */
  const parsed = JSON.parse(await text(process.stdin));
  const requests = /** @type {Request[]} */ (parsed);
  const written = requests.map(({ shown, run, labels, edits, closings }) => {
    const program = programFor(shown, {
      ...run,
      interventions: [
        ...editsFromJson({ edits_version: '1.0', edits }),
        ...closings.map(closingOf),
      ],
      labelOf: (id) => labels[id] ?? `#${id}`,
    });
    return program && { script: pythonScript(program), notebook: notebook(program) };
  });
  process.stdout.write(JSON.stringify({ written, paths }));
});

/**
 * @param {WrittenClosing} written
 * @returns {Intervention}
 */
function closingOf({ positions, tensors, ...closing }) {
  return {
    ...closing,
    kind: 'closing',
    positions: positions && { start: positions[0], end: positions[1] },
    tensors: Object.fromEntries(
      Object.entries(tensors).map(([name, { dims, data, mask }]) => [
        name,
        { dims, data: mask ? Uint8Array.from(data) : Float32Array.from(data) },
      ]),
    ),
  };
}
