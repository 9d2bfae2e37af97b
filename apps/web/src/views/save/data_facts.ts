// Writes into a file of numbers where they come from.
import { contractVersion } from '../../contract/activation_table';
import { isEdit } from '../../inference/interventions';
import type { ViewedModel } from '../../inference/model_types';
import type { Answer } from '../../session/answer';
import { promptDigest } from './file_name';

export interface DataFacts {
  readonly contract_version: string;
  readonly model: string;
  readonly weights_digest: string;
  readonly variant: string;
  /** The lens that lens_ids and lens_probs are read through. */
  readonly lens: string;
  readonly prompt_digest: string;
  readonly ids: readonly number[];
  /** In the form of contracts/edits.schema.json. */
  readonly edits: { readonly edits_version: string; readonly edits: readonly unknown[] };
  /** Interventions that are closings of the contract with tensors of their own. */
  readonly closings: readonly unknown[];
  /** The same of the run that these numbers are compared with; only in a comparison. */
  readonly compared_with?: DataFacts;
}

const EDITS_VERSION = '1.1';

export async function dataFacts(
  { manifest: { model }, variant }: ViewedModel,
  answer: Answer,
  lens: string,
): Promise<DataFacts> {
  const ids = answer.tokens.map(({ id }) => id);
  const plain = answer.interventions.map((entry) => ({
    isEdit: isEdit(entry),
    entry: listed(entry),
  }));
  return {
    contract_version: contractVersion,
    model: model.name,
    weights_digest: model.weights_digest,
    variant: variant.name,
    lens,
    prompt_digest: await promptDigest(ids),
    ids,
    edits: {
      edits_version: EDITS_VERSION,
      edits: plain.filter((one) => one.isEdit).map(({ entry }) => entry),
    },
    closings: plain.filter((one) => !one.isEdit).map(({ entry }) => entry),
  };
}

/** Return the facts of a run, with those of the other side where the numbers compare two. */
export async function withOther(
  facts: Promise<DataFacts>,
  other: Promise<DataFacts> | null,
): Promise<DataFacts> {
  return other === null ? facts : { ...(await facts), compared_with: await other };
}

/** Return a value with lists in place of typed arrays, which JSON would write as objects. */
function listed(value: unknown): unknown {
  const text = JSON.stringify(value, (_, each: unknown) =>
    each instanceof Float32Array || each instanceof Uint8Array ? Array.from(each) : each,
  );
  return JSON.parse(text) as unknown;
}
