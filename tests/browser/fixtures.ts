// Reads what tests/fixtures/make_browser_fixtures.py wrote, and compares the page's numbers with it.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ActivationKind, ClosingName } from '../../apps/web/src/contract/generated';
import type { PatchedPlaces } from '../../apps/web/src/analysis/patching';
import type { Interventions } from '../../apps/web/src/inference/interventions';

export interface Reference {
  readonly dims: readonly number[];
  readonly data: Float32Array | Int32Array;
}

/** Closings of several joints, and what PyTorch gives when it applies them. */
export interface EditSet {
  readonly name: string;
  readonly interventions: Interventions;
  readonly logits: Reference;
  /** resid_post of the first layer. */
  readonly firstResidPost: Reference;
  /** Of the last layer. */
  readonly residPost: Reference;
}

/** Edits in the wire form, and what PyTorch gives under them. */
export interface SaidEdits extends Omit<EditSet, 'interventions'> {
  readonly edits: readonly unknown[];
}

/** Texts of one batch with edits in the wire format, and PyTorch's results for each text alone. */
export interface Batch {
  readonly name: string;
  readonly edits: readonly unknown[];
  readonly texts: readonly {
    readonly ids: readonly number[];
    /** (tokens, vocab). */
    readonly logits: Reference;
    /** resid_post of the last layer. */
    readonly residPost: Reference;
  }[];
}

/** Patching sweeps: for each place, the logit difference of the last token and the divergence at `position`. */
export interface Sweeps {
  readonly texts: {
    readonly clean: readonly number[];
    readonly corrupted: readonly number[];
    /** The clean text's logits at `position`. */
    readonly reference: readonly number[];
  };
  readonly metric: { readonly answer: number; readonly other: number; readonly position: number };
  readonly unpatched: Readonly<Record<'clean' | 'corrupted', readonly [number, number]>>;
  readonly sweeps: readonly {
    readonly places: PatchedPlaces;
    readonly cells: readonly (readonly [number, number])[];
  }[];
}

export interface Prompt {
  readonly name: string;
  /** null where the checkpoint has no tokenizer. */
  readonly text: string | null;
  readonly ids: readonly number[];
  readonly tensors: ReadonlyMap<string, Reference>;
  /** Only of the prompt `sentence`. */
  readonly edits: readonly EditSet[];
  /** Likewise. */
  readonly saidEdits: readonly SaidEdits[];
  /** Only of the prompt `sentence`. */
  readonly batches: readonly Batch[];
}

export interface Fixtures {
  readonly headsOff: readonly (readonly [number, number])[];
  /** The tokens whose logit difference is attributed; the shares are `attribution_…` of the prompt `sentence`. */
  readonly attributed: readonly [number, number];
  /** Layer, head, query and key of the score whose parts are `attribution_score` of that prompt. */
  readonly scored: readonly [number, number, number, number];
  prompt(name: string): Prompt;
}

interface Written {
  heads_off: [number, number][];
  attributed: [number, number];
  scored: [number, number, number, number];
  prompts: {
    name: string;
    text: string | null;
    ids: number[];
    tensors: WrittenTensor[];
    edits: {
      name: string;
      edits: {
        joint: ActivationKind;
        layer: number;
        closing: ClosingName;
        positions: [number, number] | null;
        tensors: WrittenTensor[];
      }[];
      gives: WrittenTensor[];
    }[];
    said_edits: { name: string; edits: unknown[]; gives: WrittenTensor[] }[];
    batches: {
      name: string;
      edits: unknown[];
      texts: { ids: number[]; gives: WrittenTensor[] }[];
    }[];
  }[];
}

interface WrittenTensor {
  name: string;
  dims: number[];
  dtype: 'float32' | 'int32';
  offset: number;
}

const folder = fileURLToPath(new URL('../../test-results/browser/fixtures/', import.meta.url));

export function readFixtures(model: string): Fixtures {
  const { heads_off, attributed, scored, prompts } = JSON.parse(
    readFileSync(`${folder}${model}/fixtures.json`, 'utf8'),
  ) as Written;
  const { buffer } = new Uint8Array(readFileSync(`${folder}${model}/fixtures.bin`));
  const readAll = (tensors: readonly WrittenTensor[]): Map<string, Reference> =>
    new Map(
      tensors.map(({ name, dims, dtype, offset }) => {
        const count = dims.reduce((product, size) => product * size, 1);
        const Kind = dtype === 'float32' ? Float32Array : Int32Array;
        return [name, { dims, data: new Kind(buffer, offset, count) }];
      }),
    );
  const given = (name: string, gives: readonly WrittenTensor[]) => {
    const found = readAll(gives);
    const [logits, residPost] = [found.get('logits'), found.get('resid_post')];
    const firstResidPost = found.get('first_resid_post');
    if (logits === undefined || residPost === undefined || firstResidPost === undefined)
      throw new Error(`${name} gives nothing`);
    return { name, logits, firstResidPost, residPost };
  };
  const read = prompts.map(({ tensors, edits, said_edits, batches, ...prompt }) => ({
    ...prompt,
    tensors: readAll(tensors),
    saidEdits: said_edits.map((set) => ({ ...given(set.name, set.gives), edits: set.edits })),
    batches: batches.map(({ texts, ...batch }) => ({
      ...batch,
      texts: texts.map(({ ids, gives }) => ({ ids, ...given(batch.name, gives) })),
    })),
    edits: edits.map(({ name, edits: closings, gives }): EditSet => {
      const interventions = closings.map(({ positions: tokens, tensors: inputs, ...closing }) => ({
        ...closing,
        kind: 'closing' as const,
        positions: tokens && { start: tokens[0], end: tokens[1] },
        tensors: Object.fromEntries(
          Array.from(readAll(inputs), ([input, { dims, data }]) => [
            input,
            // Masks are written as whole numbers.
            { dims, data: data instanceof Int32Array ? Uint8Array.from(data) : data },
          ]),
        ),
      }));
      return { ...given(name, gives), interventions };
    }),
  }));
  return {
    headsOff: heads_off,
    attributed,
    scored,
    prompt(name) {
      const found = read.find((prompt) => prompt.name === name);
      if (found === undefined) throw new Error(`${model} has no prompt ${name}`);
      return found;
    },
  };
}

export function readSweeps(model: string): Sweeps {
  return JSON.parse(readFileSync(`${folder}${model}/sweeps.json`, 'utf8')) as Sweeps;
}

/** Edits as links have them with PyTorch's logits, and sweeps with its logit differences, of the bundled model. */
export interface PageEdits {
  readonly cases: readonly {
    readonly name: string;
    readonly edits: readonly unknown[];
    /** (vocab), the last token's. */
    readonly logits: readonly number[];
  }[];
  readonly sweep: {
    readonly text: string;
    readonly answer: number;
    readonly other: number;
    readonly clean: number;
    readonly corrupted: number;
  } & Readonly<Record<'stream' | 'mlp' | 'heads', readonly number[]>>;
}

export function readPageEdits(): PageEdits {
  return JSON.parse(readFileSync(`${folder}demo/page_edits.json`, 'utf8')) as PageEdits;
}

export function reference(prompt: Prompt, name: string): Reference {
  const found = prompt.tensors.get(name);
  if (found === undefined) throw new Error(`PyTorch gave no ${name} for ${prompt.name}`);
  return found;
}

/**
 * The positions start … end - 1 of a reference: of the next to last axis, which is `seq` in every
 * activation. Attention maps also lose the keys that later positions would have added.
 */
export function positions(
  name: string,
  { dims, data }: Reference,
  start: number,
  end: number,
): Reference {
  const seq = dims.at(-2) ?? 0;
  const width = dims.at(-1) ?? 0;
  const outer = dims.slice(0, -2);
  const rows = outer.reduce((product, size) => product * size, 1);
  const keptWidth = /_attn_(probs|scores)$/.test(name) ? end : width;
  const kept: number[] = [];
  for (let row = 0; row < rows; row++) {
    for (let position = start; position < end; position++) {
      const from = (row * seq + position) * width;
      kept.push(...data.subarray(from, from + keptWidth));
    }
  }
  return {
    dims: [...outer, end - start, keptWidth],
    data: data instanceof Float32Array ? Float32Array.from(kept) : Int32Array.from(kept),
  };
}

/** What the score of a token that may not be looked at holds. */
const masked = Math.fround(-3.4028234663852886e38);

/**
 * Largest difference, absolute up to 1 and relative to the largest value beyond. NaN stays NaN. A masked score differs
 * from all others, and counts for nothing else: every difference is small beside it.
 */
export function largestError(got: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (got.length !== expected.length) return Infinity;
  let error = 0;
  let scale = 1;
  for (let i = 0; i < expected.length; i++) {
    const right = expected[i] ?? NaN;
    if (right === masked || got[i] === masked) {
      if (got[i] !== right) return Infinity;
      continue;
    }
    const difference = Math.abs((got[i] ?? NaN) - right);
    if (Number.isNaN(difference)) return NaN;
    error = Math.max(error, difference);
    scale = Math.max(scale, Math.abs(right));
  }
  return error / scale;
}
