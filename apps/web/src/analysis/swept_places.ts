// The maps that a patching sweep of the page can draw, and the places that each patches.
import type { PatchedPlaces } from './patching';

export const SWEPT = ['stream', 'mlp', 'attention', 'heads'] as const;
export type Swept = (typeof SWEPT)[number];

export const placesOf = {
  stream: { over: 'positions', joint: 'resid_pre' },
  mlp: { over: 'positions', joint: 'mlp_output' },
  attention: { over: 'positions', joint: 'attn_output' },
  heads: { over: 'heads', joint: 'attn_z' },
} as const satisfies Record<Swept, PatchedPlaces>;
