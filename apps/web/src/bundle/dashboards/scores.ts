// The scores that dashboards have of each unit, in the order in which the page lists them.

export const SCORES = [
  ...(['largest', 'firing', 'kurtosis', 'token_entropy', 'mean'] as const),
  ...(['deviation', 'smallest', 'threshold', 'positive'] as const),
] as const;
export type Score = (typeof SCORES)[number];
