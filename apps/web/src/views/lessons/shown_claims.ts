// Writes a lesson's claims, and what the page shows, in words. lessons/measure_claim.ts measures.
import type { Claim } from '../../contract/generated';
import type { Dictionary } from '../../i18n/dictionary';
import { count, percent, signed } from '../../i18n/number_format';
import type { Measured } from '../../lessons/measure_claim';

export interface ClaimWords {
  /** The quantity that is measured. */
  readonly what: string;
  /** The expected value. */
  readonly expected: string;
  /** The measured value; null where it can't be measured yet, and `why` says so. */
  readonly measured: string | null;
  readonly why: string | null;
}

/** `labelOf` writes a token of the model, `tokenAt` the text's token at a place. */
export interface TokenLabels {
  readonly labelOf: (id: number) => string;
  readonly tokenAt: (place: number) => string;
}

export function claimWords(
  claim: Claim,
  measured: Measured,
  labels: TokenLabels,
  words: Dictionary,
): ClaimWords {
  const texts = words.lessons;
  return {
    what: subjectOf(claim, labels, words),
    expected: expectedOf(claim, words),
    measured:
      measured.kind === 'number'
        ? formatOf(claim)(measured.value)
        : measured.kind === 'token'
          ? quoted(labels.labelOf(measured.id))
          : measured.kind === 'heads'
            ? measured.heads.map((head) => head.join('.')).join(words.comma)
            : null,
    why:
      measured.kind === 'closed'
        ? texts.waitsFor[measured.needs]
        : measured.kind === 'unfit'
          ? texts.unfit(measured.what)
          : null,
  };
}

function quoted(token: string): string {
  return `“${token}”`;
}

/** Write a token's text as a label of the page does. */
function written(text: string): string {
  return quoted(text.replaceAll(' ', '␣'));
}

function subjectOf(claim: Claim, { tokenAt }: TokenLabels, { lessons }: Dictionary): string {
  const { claims } = lessons;
  switch (claim.claim) {
    case 'probability':
      return claims.probability(written(claim.token));
    case 'drawn':
      return claims.drawn(written(claim.token));
    case 'difference':
      return claims.difference(written(claim.token), written(claim.other));
    case 'attribution':
      return claims.attribution(
        written(claim.token),
        claim.other === undefined ? null : written(claim.other),
      );
    case 'attention':
      return claims.attention(claim.head, quoted(tokenAt(claim.from)), quoted(tokenAt(claim.to)));
    case 'lens':
      return claims.lens(claim.layer);
    case 'likeliest':
      return claims.likeliest;
    case 'kept':
      return claims.kept;
  }
}

function formatOf({ claim }: Claim): (value: number) => string {
  if (claim === 'difference') return signed;
  return claim === 'kept' ? count : percent;
}

function expectedOf(claim: Claim, words: Dictionary): string {
  const texts = words.lessons;
  if ('least' in claim) {
    const format = formatOf(claim);
    const isShare = claim.claim !== 'difference' && claim.claim !== 'kept';
    const [least, most] = [format(claim.least), format(claim.most)];
    if (claim.least === claim.most) return texts.equals(least);
    if (isShare && claim.most >= 1) return texts.above(least);
    if (isShare && claim.least <= 0) return texts.below(most);
    return texts.within(least, most);
  }
  return texts.equals(
    claim.claim === 'attribution' ? claim.heads.join(words.comma) : written(claim.token),
  );
}
