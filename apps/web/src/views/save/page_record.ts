// The open analysis as a record for a page of its own: everything that the views draw, without the model.
import type { ModelShape } from '../../contract/generated';
import { continuesText, lastTokensOf, maskTokenOf } from '../../contract/whole_text';
import { toBase64, compressed } from '../../saved_page/bytes_text';
import { RECORD_VERSION, type AnalysisRecord } from '../../saved_page/record';
import type { ViewedModel } from '../../inference/model_types';
import { largest } from '../../analysis/probabilities';
import type { Answer } from '../../session/answer';
import { dataFacts, type DataFacts } from './data_facts';
import { safetensorsFile } from './data_files';
import { savedLogits, savedTensors, type SavedTensor } from './saved_tensors';

/** Facts that the page has besides the answer. */
export interface PageFacts {
  readonly prompt: string;
  /** Name and version of what computed the numbers. */
  readonly runtime: string;
  /** State of the page, in the form of a link's part after #. */
  readonly state: string;
  /** Address that opens the page in this state; null where no link can. */
  readonly link: string | null;
}

/** Number of likely next tokens whose bytes are stored: as many as the view of the next token ever lists. */
const LISTED_TOKENS = 60;

export async function pageRecord(
  model: ViewedModel,
  answer: Answer,
  { prompt, runtime, state, link }: PageFacts,
): Promise<AnalysisRecord> {
  const { manifest, variant, lens } = model;
  const { name, precision, kernels, encoding } = variant;
  const mask = maskTokenOf(manifest);
  const facts = await dataFacts(model, answer, lens);
  const packs = (manifest.lens_packs ?? []).filter((pack) => pack.name === lens);
  return {
    analysis_version: RECORD_VERSION,
    contract_version: facts.contract_version,
    model: manifest.model,
    variant: {
      name,
      precision,
      ...(kernels !== undefined && { kernels }),
      ...(encoding !== undefined && { encoding }),
    },
    lens,
    lens_packs: packs.map(({ name: pack, path, description }) => ({
      name: pack,
      path,
      description,
    })),
    runtime,
    prompt,
    typed: answer.tokens.filter(({ generated }) => !generated).length,
    edits: facts.edits,
    ...(!continuesText(manifest.model.shape) && {
      tokenizer: {
        ...(mask !== null && { mask_token: mask }),
        last_tokens: [...lastTokensOf(manifest)],
      },
    }),
    pieces: model.hasTokenizer ? piecesOf(answer) : null,
    tensors: await numbersOf(answer, facts, manifest.model.shape),
    untouched:
      answer.untouched === null
        ? null
        : await numbersOf(
            { ...answer, activations: answer.untouched },
            facts,
            manifest.model.shape,
          ),
    state,
    link,
    kernel: null,
  };
}

async function numbersOf(answer: Answer, facts: DataFacts, shape: ModelShape): Promise<string> {
  const ids: SavedTensor = {
    name: 'input_ids',
    shape: [1, answer.tokens.length],
    data: Int32Array.from(answer.tokens, ({ id }) => id),
  };
  const { names } = answer.activations;
  const file = safetensorsFile(facts, [
    ids,
    savedLogits(answer, shape),
    ...savedTensors(answer, names),
  ]);
  return compressed(file);
}

/** List the bytes of every token that a view may name: of the text, of the lens, and the likeliest next ones. */
function piecesOf(answer: Answer): [number, string][] {
  const named = new Set(answer.tokens.map(({ id }) => id));
  for (const set of [answer.activations, answer.untouched]) {
    if (set === null) continue;
    for (const id of largest(set.lastLogits, LISTED_TOKENS)) named.add(id);
    for (const name of set.names) {
      const series = name.endsWith('_lens_ids') ? set.get(name) : null;
      for (let position = 0; position < (series?.length ?? 0); position++)
        for (const id of series?.row(position) ?? []) named.add(id);
    }
  }
  return [...named].flatMap((id) => {
    const bytes = answer.pieces.get(id)?.bytes;
    return bytes === undefined ? [] : [[id, toBase64(bytes)] as [number, string]];
  });
}
