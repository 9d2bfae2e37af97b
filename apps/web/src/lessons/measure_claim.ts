// Measures what a lesson claims by the numbers that the page shows, and says whether it holds. Pure; the same in
// Python: oriel/lessons/measure_claim.py.
import { largest, softmax } from '../analysis/probabilities';
import { samplingDistribution, type SamplingSettings } from '../analysis/sampling';
import type { Claim } from '../contract/generated';

export type HeadPair = readonly [layer: number, head: number];

/** The parts of one run that the page shows. Null where it isn't open. */
export interface ShownRun {
  readonly tokens: number;
  /** Logits of the last token. */
  readonly logits: ArrayLike<number>;
  readonly sampling: SamplingSettings;
  /** Return the likeliest token after a layer at the last token. */
  readonly lensToken: (layer: number) => number | null;
  /** Return a head's attention from a token to each. */
  readonly attention: (head: HeadPair, from: number) => ArrayLike<number> | null;
  readonly attribution: {
    readonly answer: number;
    readonly other: number | null;
    /** The share of each head at the last token, (heads) for each layer. */
    readonly heads: readonly ArrayLike<number>[];
  } | null;
  /** Return the id of the token that a text is; null for a text of several, undefined while it isn't known. */
  readonly tokenId: (text: string) => number | null | undefined;
}

export type Measured =
  /** A number within limits, or outside them. */
  | { readonly kind: 'number'; readonly holds: boolean; readonly value: number }
  /** A token that is the expected one, or another. */
  | { readonly kind: 'token'; readonly holds: boolean; readonly id: number }
  /** The strongest heads, as many as are claimed. */
  | { readonly kind: 'heads'; readonly holds: boolean; readonly heads: readonly HeadPair[] }
  /** The view that must be opened before it can be measured. */
  | { readonly kind: 'closed'; readonly needs: 'lens' | 'attention' | 'attribution' | 'tokens' }
  /** The claim is of another model or text: of a token, layer, head or place that isn't there. */
  | { readonly kind: 'unfit'; readonly what: string };

/** List the texts of a claim that must be one token each. */
export function tokensOfClaim(claim: Claim): string[] {
  const texts = 'token' in claim ? [claim.token] : [];
  return 'other' in claim ? [...texts, claim.other] : texts;
}

/** Return what a claim is about, as the run has it. */
export function measureClaim(claim: Claim, run: ShownRun): Measured {
  const ids: number[] = [];
  for (const text of tokensOfClaim(claim)) {
    const id = run.tokenId(text);
    if (id === undefined) return { kind: 'closed', needs: 'tokens' };
    if (id === null) return { kind: 'unfit', what: text };
    ids.push(id);
  }
  const [id = 0, other = null] = ids;
  const { logits } = run;
  switch (claim.claim) {
    case 'probability':
      return within(softmax(logits)[id] ?? 0, claim);
    case 'likeliest':
      return tokenIs(largest(logits, 1)[0] ?? 0, id);
    case 'difference':
      return within((logits[id] ?? 0) - (logits[other ?? 0] ?? 0), claim);
    case 'drawn':
      return within(samplingDistribution(logits, run.sampling)[id] ?? 0, claim);
    case 'kept':
      return within(keptBy(samplingDistribution(logits, run.sampling)), claim);
    case 'lens': {
      const found = run.lensToken(claim.layer);
      return found === null ? { kind: 'closed', needs: 'lens' } : tokenIs(found, id);
    }
    case 'attention': {
      if (Math.max(claim.from, claim.to) >= run.tokens)
        return { kind: 'unfit', what: `${Math.max(claim.from, claim.to)}` };
      const weights = run.attention(headOf(claim.head), claim.from);
      if (weights === null) return { kind: 'closed', needs: 'attention' };
      return within(weights[claim.to] ?? 0, claim);
    }
    case 'attribution': {
      const { attribution } = run;
      if (attribution?.answer !== id || attribution.other !== other)
        return { kind: 'closed', needs: 'attribution' };
      const heads = strongestHeads(attribution.heads, claim.heads.length);
      const holds = claim.heads.join() === heads.map((head) => head.join('.')).join();
      return { kind: 'heads', holds, heads };
    }
  }
}

/** Read a head as lessons write it, 7.2. */
export function headOf(text: string): HeadPair {
  const [layer = 0, head = 0] = text.split('.').map(Number);
  return [layer, head];
}

function within(value: number, { least, most }: { least: number; most: number }): Measured {
  return { kind: 'number', holds: value >= least && value <= most, value };
}

function tokenIs(id: number, wanted: number): Measured {
  return { kind: 'token', holds: id === wanted, id };
}

function keptBy(distribution: Float64Array): number {
  return distribution.reduce((count, share) => count + (share > 0 ? 1 : 0), 0);
}

function strongestHeads(shares: readonly ArrayLike<number>[], count: number): HeadPair[] {
  const heads = shares.flatMap((ofLayer, layer) =>
    Array.from({ length: ofLayer.length }, (_, head) => ({
      head: [layer, head] as const,
      share: ofLayer[head] ?? 0,
    })),
  );
  return heads
    .sort((a, b) => b.share - a.share)
    .slice(0, count)
    .map(({ head }) => head);
}
