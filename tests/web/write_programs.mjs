// Writes the scripts and notebooks that the page gives for numbers. Each line of standard input is a list of requests as
// JSON; prints a line for each: what was written for every request, and the page's table of module paths.
// tests/python/page_programs.py asks it, and runs them.
import { createInterface } from 'node:readline';
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
  for await (const line of createInterface({ input: process.stdin })) {
    /** @type {unknown} */
    const parsed = JSON.parse(line);
    const written = /** @type {Request[]} */ (parsed).map(writtenFor);
    process.stdout.write(`${JSON.stringify({ written, paths })}\n`);
  }

  /**
   * @param {Request} request
   * @returns {{ script: string, notebook: string } | null}
   */
  function writtenFor({ shown, run, labels, edits, closings }) {
    const program = programFor(shown, {
      ...run,
      interventions: [
        ...editsFromJson({ edits_version: '1.0', edits }),
        ...closings.map(closingOf),
      ],
      labelOf: (id) => labels[id] ?? `#${id}`,
    });
    return program && { script: pythonScript(program), notebook: notebook(program) };
  }
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
