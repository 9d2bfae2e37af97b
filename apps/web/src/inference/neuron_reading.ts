// Reads the neurons of the open model: their activations on a text, the length of what each writes to the residual stream,
// and how that changes the logits. What a neuron writes is read from runs in which it alone is on, so that the variant's
// own kernels multiply by its weights, however they are encoded.
import { activationName, layerShape } from '../contract/activation_table';
import type { ModelShape } from '../contract/generated';
import { checkTokens } from './check_tokens';
import type { Edit } from './edits';
import type { Interventions } from './interventions';
import { heard, type RunsBatches, type SweepProgress } from './patching_sweep';
import { arrayOf } from './run_outputs';
import { effectsOf } from './stream_readout';

/** Maximum of the activations that one run is fed. */
const mostFedBytes = 16 * 2 ** 20;

export interface NeuronsRequest {
  readonly ids: readonly number[];
  /** None by default. */
  readonly interventions?: Interventions;
  /** Layers whose neurons' rows are measured as well, with the activation that is put in: all of them, or none. */
  readonly rows: boolean;
  /** A neuron whose effect on the logits is computed at a position; null for none. */
  readonly neuron: AskedNeuron | null;
}

export interface AskedNeuron {
  readonly layer: number;
  readonly neuron: number;
  readonly position: number;
}

export interface NeuronReading {
  /** mlp_act of each layer, (tokens, neurons). */
  readonly activations: readonly Float32Array[];
  /** Norm of each neuron's row of the output matrix, (neurons) for each layer; null where they were not requested. */
  readonly rows: readonly Float32Array[] | null;
  /** (vocab): the change of each logit for an activation of 1; null where no neuron was asked about. */
  readonly effects: Float32Array | null;
}

/** Read a text's neurons. Rejects with a ModelError of kind `aborted` where the signal aborts between two runs. */
export async function readNeurons(
  { ids, interventions = [], rows, neuron }: NeuronsRequest,
  shape: ModelShape,
  run: RunsBatches,
  onProgress: SweepProgress,
  signal: AbortSignal,
): Promise<NeuronReading> {
  checkTokens(ids, shape.vocab, shape.context_length);
  if (neuron !== null) checkNeuron(neuron, shape, ids.length);
  const chunks = rows ? rowRuns(shape) : 0;
  const of = 1 + chunks + (neuron === null ? 0 : 2);
  let done = 0;
  const next = async (): Promise<void> => {
    onProgress(done++, of);
    await heard(signal);
  };
  await next();
  const values = await run({
    texts: [ids],
    edits: interventions,
    logits: 0,
    activations: neuronActivations(shape),
    closings: [
      { joint: 'mlp_act', layer: 0, closing: 'replace' },
      { joint: 'resid_post', layer: 0, closing: 'replace' },
    ],
  });
  const activations = everyLayer(shape).map((layer) => arrayOf(values, 'mlp_act', layer));
  const scales = activations.map(largestActivation);
  const norms = rows ? everyLayer(shape).map((layer) => emptyRow(shape, layer)) : null;
  for (let chunk = 0; norms !== null && chunk < chunks; chunk++) {
    await next();
    await measureRows(norms, chunk, { shape, run, scales });
  }
  let effects: Float32Array | null = null;
  if (neuron !== null) {
    await next();
    const row = await writtenBy(neuron, { shape, run, scales });
    await next();
    const stream = arrayOf(values, 'resid_post', shape.layers - 1).slice(
      neuron.position * shape.hidden,
      (neuron.position + 1) * shape.hidden,
    );
    effects = await effectsOf({ row, stream }, shape, run);
  }
  onProgress(of, of);
  return { activations, rows: norms, effects };
}

/** Return the number of runs that measuring all rows takes. */
export function rowRuns(shape: ModelShape): number {
  const widest = Math.max(...everyLayer(shape).map((layer) => widthOf(shape, layer)));
  return Math.ceil(widest / neuronsPerRun(shape));
}

/** Return how many neurons of each layer one run measures: one for each token but the first, at which all are off. */
function neuronsPerRun(shape: ModelShape): number {
  const width = everyLayer(shape).reduce((sum, layer) => sum + widthOf(shape, layer), 0);
  const tokens = Math.min(shape.context_length, Math.floor(mostFedBytes / (4 * width)));
  return Math.max(1, tokens - 1);
}

/** List the activations that the runs give. */
export function neuronActivations(shape: ModelShape): string[] {
  return [
    ...everyLayer(shape).flatMap((layer) => [
      activationName('mlp_act', layer),
      activationName(givenBy(shape), layer),
    ]),
    activationName('resid_post', shape.layers - 1),
  ];
}

/** Return the kind of what an MLP's output matrix gives: another norm may stand between it and the stream. */
export function givenBy({
  raw_outputs: isRaw = false,
}: ModelShape): 'mlp_output' | 'mlp_output_raw' {
  return isRaw ? 'mlp_output_raw' : 'mlp_output';
}

interface Reader {
  readonly shape: ModelShape;
  readonly run: RunsBatches;
  /** The activation that is put in at each layer: static int8 has a range for them, which the text's own are in. */
  readonly scales: readonly number[];
}

async function measureRows(
  norms: readonly Float32Array[],
  chunk: number,
  { shape, run, scales }: Reader,
): Promise<void> {
  const step = neuronsPerRun(shape);
  const start = chunk * step;
  const ends = norms.map((row) => Math.min(row.length, start + step));
  const count = Math.max(...ends) - start;
  const tokens = count + 1;
  const edits = norms.map((row, layer): Edit => {
    const values = new Float32Array(tokens * row.length);
    for (let neuron = start; neuron < (ends[layer] ?? 0); neuron++)
      values[(neuron - start + 1) * row.length + neuron] = scales[layer] ?? 1;
    const value = { shape: [1, tokens, row.length], values };
    return { edit: 'replace', joint: 'mlp_act', layer, value };
  });
  const found = await run({
    texts: [Array<number>(tokens).fill(0)],
    edits,
    logits: 0,
    activations: norms.map((_, layer) => activationName(givenBy(shape), layer)),
  });
  const { hidden } = shape;
  for (const [layer, row] of norms.entries()) {
    const output = arrayOf(found, givenBy(shape), layer);
    for (let neuron = start; neuron < (ends[layer] ?? 0); neuron++) {
      let sum = 0;
      const at = (neuron - start + 1) * hidden;
      for (let each = 0; each < hidden; each++)
        sum += ((output[at + each] ?? 0) - (output[each] ?? 0)) ** 2;
      row[neuron] = Math.sqrt(sum) / (scales[layer] ?? 1);
    }
  }
}

/** Return the neuron's row of the output matrix, (hidden). */
async function writtenBy(
  { layer, neuron }: AskedNeuron,
  { shape, run, scales }: Reader,
): Promise<Float32Array> {
  const width = widthOf(shape, layer);
  const scale = scales[layer] ?? 1;
  const values = new Float32Array(2 * width);
  values[width + neuron] = scale;
  const value = { shape: [1, 2, width], values };
  const found = await run({
    texts: [[0, 0]],
    edits: [{ edit: 'replace', joint: 'mlp_act', layer, value }],
    logits: 0,
    activations: [activationName(givenBy(shape), layer)],
  });
  const output = arrayOf(found, givenBy(shape), layer);
  const { hidden } = shape;
  return output.slice(hidden, 2 * hidden).map((each, at) => (each - (output[at] ?? 0)) / scale);
}

/** List the arrays of a reading, to transfer them. */
export function neuronBuffers({ activations, rows, effects }: NeuronReading): ArrayBufferLike[] {
  return [...activations, ...(rows ?? []), ...(effects === null ? [] : [effects])].map(
    ({ buffer }) => buffer,
  );
}

function checkNeuron(
  { layer, neuron, position }: AskedNeuron,
  shape: ModelShape,
  tokens: number,
): void {
  const isBelow = (value: number, end: number): boolean =>
    Number.isInteger(value) && value >= 0 && value < end;
  if (!isBelow(layer, shape.layers))
    throw new RangeError(
      `the model has no such layer; got layer ${layer}; expected 0 to ${shape.layers - 1}`,
    );
  if (!isBelow(neuron, widthOf(shape, layer)))
    throw new RangeError(
      `layer ${layer} has no such neuron; got neuron ${neuron}; expected 0 to ${widthOf(shape, layer) - 1}`,
    );
  if (!isBelow(position, tokens))
    throw new RangeError(
      `the text has no such token; got position ${position}; expected 0 to ${tokens - 1}`,
    );
}

function everyLayer({ layers }: ModelShape): number[] {
  return Array.from({ length: layers }, (_, layer) => layer);
}

function widthOf(shape: ModelShape, layer: number): number {
  return layerShape(shape, layer).intermediate;
}

function emptyRow(shape: ModelShape, layer: number): Float32Array {
  return new Float32Array(widthOf(shape, layer));
}

/** Return the largest activation above 0; 1 where there is none. */
export function largestActivation(activations: Float32Array): number {
  const largest = activations.reduce((most, value) => Math.max(most, value), 0);
  return largest > 0 ? largest : 1;
}
