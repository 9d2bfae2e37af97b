// Reads what the page shows of the open model's run, as claims of a lesson need it, and the ids of the tokens that they
// name.
import { activationName } from '../../contract/activation_table';
import type { Claim, LessonStep } from '../../contract/generated';
import {
  measureClaim,
  tokensOfClaim,
  type Measured,
  type ShownRun,
} from '../../lessons/measure_claim';
import { layerShares } from '../../analysis/attribution_parts';
import type { SamplingSettings } from '../../analysis/sampling';
import type { ModelSession } from '../../session/model_session.svelte';

export class LessonRun {
  /** {text: the id of the one token that it is, or null}, for the open model. */
  #ids = $state.raw<Readonly<Record<string, number | null>>>({});
  #model: unknown = null;
  readonly #session: ModelSession;

  constructor(session: ModelSession) {
    this.#session = session;
  }

  /** Learn the ids of the tokens that a step's claims name. */
  async learn(step: LessonStep): Promise<void> {
    const { model, attributions } = this.#session;
    if (model === null) return;
    if (this.#model !== model.manifest) this.#ids = {};
    this.#model = model.manifest;
    const texts = (step.expect?.claims ?? []).flatMap(tokensOfClaim);
    for (const text of texts) {
      if (Object.hasOwn(this.#ids, text)) continue;
      const pieces = await attributions.tokensOf(text).catch(() => null);
      if (pieces === null || this.#model !== model.manifest) return;
      const [first] = pieces;
      const id = pieces.length === 1 && first !== undefined ? first.id : null;
      this.#ids = { ...this.#ids, [text]: id };
    }
  }

  idOf(text: string): number | null | undefined {
    return Object.hasOwn(this.#ids, text) ? this.#ids[text] : undefined;
  }

  /** Measure a step's claims by the newest answer; null while there is none. */
  measure(claims: readonly Claim[], sampling: SamplingSettings): readonly Measured[] | null {
    const run = this.#shown(sampling);
    return run && claims.map((claim) => measureClaim(claim, run));
  }

  #shown(sampling: SamplingSettings): ShownRun | null {
    const { answer, attributions } = this.#session;
    if (answer === null) return null;
    const { activations, tokens } = answer;
    const { found, stage } = attributions;
    const last = tokens.length - 1;
    // An attribution of an earlier text stays in sight until the next one is here.
    const isOfAnswer =
      stage.kind === 'ready' &&
      found?.tokens.length === tokens.length &&
      found.interventions === answer.interventions &&
      found.tokens.every((token, at) => token.id === tokens[at]?.id);
    return {
      tokens: tokens.length,
      logits: activations.lastLogits,
      sampling,
      lensToken: (layer) =>
        activations.get(activationName('lens_ids', layer))?.row(last)[0] ?? null,
      attention: ([layer, head], from) => {
        const series = activations.get(activationName('attn_probs', layer));
        return series === null || head >= series.heads ? null : series.row(from, head);
      },
      attribution: isOfAnswer
        ? {
            answer: found.answer,
            other: found.other,
            heads: layerShares(found.shares, last).map(({ heads }) => heads),
          }
        : null,
      tokenId: (text) => this.idOf(text),
    };
  }
}
