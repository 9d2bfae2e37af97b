// One analysis as data: what a page needs to draw an answer without the model. page_record.ts of views/save and
// Python's oriel/notebook/record.py write it, read_record.ts reads it.
import type { LensPackRecord, ModelRecord, TokenizerFiles, Variant } from '../contract/generated';

/** Version of the form, major.minor. Readers refuse another major. */
export const RECORD_VERSION = '1.0';

/** Id of the element that holds the record in a page. */
export const RECORD_ELEMENT = 'oriel-analysis';

export interface AnalysisRecord {
  readonly analysis_version: string;
  readonly contract_version: string;
  readonly model: ModelRecord;
  readonly variant: Pick<Variant, 'name' | 'precision' | 'kernels' | 'encoding'>;
  /** Name of the lens that lens_ids and lens_probs were read through. */
  readonly lens: string;
  /** That lens, where it is a pack; with a kernel, every pack that Python can read the layers through. */
  readonly lens_packs: readonly Omit<LensPackRecord, 'taps'>[];
  /** Name and version of what computed the numbers. */
  readonly runtime: string;
  readonly prompt: string;
  /** Number of tokens that were typed; the rest were generated. */
  readonly typed: number;
  /** A document of contracts/edits.schema.json: the edits that the numbers were computed with. */
  readonly edits: { readonly edits_version: string; readonly edits: readonly unknown[] };
  /** Ids and base64 of the bytes of every token that a view names; null where the model has no tokenizer. */
  readonly pieces: readonly (readonly [id: number, bytes: string])[] | null;
  /**
   * The tokenizer's fields by which a model that continues no text has its position of the logits; absent in others.
   */
  readonly tokenizer?: Pick<TokenizerFiles, 'mask_token' | 'last_tokens'>;
  /**
   * base64 of a safetensors file, compressed by gzip: `input_ids`, the predicted position's `logits`, and activations.
   */
  readonly tensors: string;
  /** The same for the text without the edits; null where nothing was edited. */
  readonly untouched: string | null;
  /** State of the page in the form of a link's part after #. */
  readonly state: string;
  /** Address where the page opens with the model; null where there is none. */
  readonly link: string | null;
  /** The way to ask Python while a notebook's kernel runs; null in a file. */
  readonly kernel: KernelOffer | null;
}

export interface KernelOffer {
  /** Tells this display from others in the same notebook. */
  readonly token: string;
  /** Names of activations that Python can open besides. */
  readonly openable: readonly string[];
}
