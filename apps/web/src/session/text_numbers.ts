// Computes the numbers of an edit that come from texts or from tokens, by one run.
import { activationName } from '../contract/activation_table';
import type { Numbers } from '../inference/edits';
import {
  textsOf,
  type ListedEdit,
  type TextNumbers,
  type TokenDirection,
} from '../inference/listed_edits';
import { ModelError } from '../inference/model_error';
import type { ModelClient } from '../inference/client_interface';
import type { OpenedModel, Tensor } from '../inference/model_types';
import { idsAround } from '../contract/whole_text';
import { readPrompt } from './read_prompt';
import { EMPTY_PROMPT } from './prompt_state.svelte';

/** The way in which the page reads a text: with or without the tokens that go before every text. */
export interface TextReader {
  readonly client: ModelClient;
  readonly model: OpenedModel;
  readonly withoutFirst: boolean;
}

/** Return the ids that the page would feed for a text. Throws a ModelError for one that the model can't read. */
export async function idsOfText(reader: TextReader, text: string): Promise<number[]> {
  const { client, model, withoutFirst } = reader;
  const { vocab, context_length: limit } = model.manifest.model.shape;
  const reading = await readPrompt(
    { ...EMPTY_PROMPT, text },
    {
      hasTokenizer: model.hasTokenizer,
      vocab,
      contextLength: limit,
      encode: async (given) => (await client.encode(given)).map(({ id }) => id),
      bytes: () => Promise.resolve([]),
    },
  );
  if (reading.kind === 'not-ids')
    throw new ModelError({ kind: 'bad-tokens', detail: `${reading.text}, of ${vocab} ids` });
  const ids = withoutFirst ? [...reading.body] : idsAround(model.manifest, reading.body);
  if (ids.length > limit) throw new ModelError({ kind: 'too-long', tokens: ids.length, limit });
  return ids;
}

/** Run the entry's texts, or read its tokens' direction, and return its numbers. Rejects with a ModelError. */
export async function numbersFromTexts(
  reader: TextReader,
  { edit }: ListedEdit,
  from: TextNumbers,
): Promise<Numbers> {
  if (!('joint' in edit)) throw new ModelError({ kind: 'run', detail: 'an edit without a joint' });
  if ('unembedding' in from) return unitDirection(reader.client, from.unembedding);
  const name = activationName(edit.joint, 'layer' in from ? from.layer : edit.layer);
  const texts = await Promise.all(textsOf(from).map((text) => idsOfText(reader, text)));
  const result = await reader.client.runBatch({ texts, activations: [name] });
  const values = result.texts.map(({ tensors }) => {
    const found = tensors.find((tensor) => tensor.name === name);
    if (found === undefined || !(found.data instanceof Float32Array))
      throw new ModelError({ kind: 'run', detail: `no output ${name}` });
    return { dims: found.dims, data: found.data };
  });
  const [first, second] = values;
  if (first === undefined) throw new ModelError({ kind: 'bad-tokens', detail: 'no text' });
  if ('at' in from) return rowAt(first, from.at);
  if ('text' in from) return { shape: first.dims, values: first.data };
  if ('mean' in from) return meanOverTokens(first);
  const [towards, away] = [lastRow(first), lastRow(second ?? first)];
  return towards.map((value, at) => value - (away[at] ?? 0));
}

/** Return the direction that raises the first token's logit, less the second's where there is one, with length 1. */
async function unitDirection(
  client: ModelClient,
  [answer, other]: TokenDirection,
): Promise<number[]> {
  const { direction } = await client.run({
    ids: [answer],
    ...{ reuseCache: false, keepCache: false, activations: [] },
    attribution: { answer, ...(other !== undefined && { other }), direction: true },
  });
  const length = Math.hypot(...(direction ?? []));
  if (direction === undefined || !(length > 0))
    throw new ModelError({ kind: 'run', detail: 'the tokens have no direction' });
  return Array.from(direction, (value) => value / length);
}

interface FloatTensor extends Pick<Tensor, 'dims'> {
  readonly data: Float32Array;
}

/** Return the values of one token of (1, tokens, width). Throws a ModelError where the text has fewer tokens. */
function rowAt({ dims, data }: FloatTensor, at: number): Float32Array {
  const [tokens = 0, width = 0] = dims.slice(-2);
  if (at < tokens) return data.slice(at * width, (at + 1) * width);
  throw new ModelError({ kind: 'bad-tokens', detail: `position ${at} of a text of ${tokens}` });
}

/** Return the values of the last token of (1, tokens, width). */
function lastRow({ dims, data }: FloatTensor): Float32Array {
  return data.slice(-(dims.at(-1) ?? 0));
}

/** Return the mean over the next to last dimension, which keeps its place with size 1. */
function meanOverTokens({ dims, data }: FloatTensor): Numbers {
  const [tokens = 1, width = 1] = dims.slice(-2);
  const outer = data.length / (tokens * width);
  const values = new Float32Array(outer * width);
  for (let block = 0; block < outer; block++)
    for (let column = 0; column < width; column++) {
      let sum = 0;
      for (let token = 0; token < tokens; token++)
        sum += data[(block * tokens + token) * width + column] ?? 0;
      values[block * width + column] = sum / tokens;
    }
  return { shape: dims.with(-2, 1), values };
}
