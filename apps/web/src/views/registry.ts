// The views of a model's answer, in the page's order. A view is a folder with a component that takes the props of
// view_props.ts, and one row here.
import type { Component } from 'svelte';
import { runsTexts, takesEdits } from '../activations/activation_offer';
import type { ActivationKind, ModelShape } from '../contract/generated';
import type { Dictionary } from '../i18n/dictionary';
import type { OpenedModel } from '../inference/model_types';
import type { ViewProps } from './view_props';

export interface View {
  /** Also the element's id on the page, which links within the page lead to. */
  readonly id: string;
  readonly title: (words: Dictionary) => string;
  /** The question that it answers, which stands above it. */
  readonly question: (words: Dictionary) => string;
  /** Kinds of activation that it draws. */
  readonly kinds: readonly ActivationKind[];
  /** True where a model that can give none of these kinds lacks the view; else the view says so itself. */
  readonly needsKinds: boolean;
  /**
   * Return the multiplications per token that computing all its kinds adds to a run. Where they are few, the page opens
   * the kinds as soon as the view is seen. Null where only the reader opens them.
   */
  readonly cost: ((shape: ModelShape) => number) | null;
  /** True for a model that the view suits, once it can be asked; null where a precomputed answer will do. */
  readonly suits: ((opened: OpenedModel) => boolean) | null;
  /** Return false for a model that has nothing which the view could show; absent for views of every model. */
  readonly has?: (shape: ModelShape) => boolean;
  /** Beside the text, or below each other in the middle of the page. */
  readonly place: 'rail' | 'main';
  /** Room kept free until the view is drawn, which waits until it comes near the window; null draws it at once. */
  readonly reserve: string | null;
  readonly component: () => Promise<{ default: Component<ViewProps> }>;
}

/** Return whether a model predicts tokens, and not labels. */
function predictsTokens({ labels = 0 }: ModelShape): boolean {
  return labels === 0;
}

export const VIEWS: readonly View[] = [
  {
    id: 'next',
    title: (words) => words.next.title,
    question: (words) => words.views.questions.next,
    kinds: ['logits'],
    needsKinds: false,
    cost: null,
    suits: null,
    place: 'rail',
    reserve: null,
    component: () => import('./prediction/PredictionView.svelte'),
  },
  {
    id: 'overview',
    title: (words) => words.overview.title,
    question: (words) => words.views.questions.overview,
    kinds: ['attn_probs'],
    needsKinds: true,
    cost: null,
    suits: null,
    place: 'main',
    reserve: '60rem',
    component: () => import('./overview/OverviewView.svelte'),
  },
  {
    id: 'attention',
    title: (words) => words.attention.title,
    question: (words) => words.views.questions.attention,
    kinds: ['attn_probs', 'attn_scores'],
    needsKinds: false,
    cost: null,
    suits: null,
    place: 'main',
    reserve: '60rem',
    component: () => import('./attention/AttentionView.svelte'),
  },
  {
    id: 'lens',
    title: (words) => words.lens.title,
    question: (words) => words.views.questions.lens,
    kinds: ['lens_ids', 'lens_probs'],
    needsKinds: true,
    cost: ({ layers, hidden, vocab }) => layers * hidden * vocab,
    suits: null,
    place: 'main',
    reserve: '32rem',
    component: () => import('./lens/LensView.svelte'),
  },
  {
    id: 'attribution',
    has: predictsTokens,
    title: (words) => words.attribution.title,
    question: (words) => words.views.questions.attribution,
    kinds: [],
    needsKinds: false,
    cost: null,
    suits: () => true,
    place: 'main',
    reserve: '10rem',
    component: () => import('./attribution/AttributionView.svelte'),
  },
  {
    id: 'neurons',
    title: (words) => words.neurons.title,
    question: (words) => words.views.questions.neurons,
    kinds: [],
    needsKinds: false,
    cost: null,
    suits: () => true,
    place: 'main',
    reserve: '40rem',
    component: () => import('./neurons/NeuronsView.svelte'),
  },
  {
    id: 'features',
    title: (words) => words.features.title,
    question: (words) => words.views.questions.features,
    kinds: [],
    needsKinds: false,
    cost: null,
    suits: ({ manifest }) => (manifest.dictionaries ?? []).length > 0,
    place: 'main',
    reserve: '40rem',
    component: () => import('./features/FeaturesView.svelte'),
  },
  {
    id: 'units',
    title: (words) => words.units.title,
    question: (words) => words.views.questions.units,
    kinds: [],
    needsKinds: false,
    cost: null,
    suits: ({ manifest }) => manifest.dashboards !== undefined,
    place: 'main',
    reserve: '60rem',
    component: () => import('./units/UnitsView.svelte'),
  },
  {
    id: 'steps',
    has: predictsTokens,
    title: (words) => words.steps.title,
    question: (words) => words.views.questions.steps,
    kinds: [],
    needsKinds: false,
    cost: null,
    suits: ({ variant }) => runsTexts(variant),
    place: 'main',
    reserve: '16rem',
    component: () => import('./steps/StepsView.svelte'),
  },
  {
    id: 'paths',
    has: predictsTokens,
    title: (words) => words.paths.title,
    question: (words) => words.views.questions.paths,
    kinds: [],
    needsKinds: false,
    cost: null,
    suits: () => true,
    place: 'main',
    reserve: '10rem',
    component: () => import('./paths/PathsView.svelte'),
  },
  {
    id: 'interventions',
    title: (words) => words.interventions.title,
    question: (words) => words.views.questions.interventions,
    kinds: [],
    needsKinds: false,
    cost: null,
    suits: ({ variant }) => takesEdits(variant),
    place: 'main',
    reserve: '40rem',
    component: () => import('./interventions/InterventionsView.svelte'),
  },
  {
    id: 'activations',
    title: (words) => words.panel.title,
    question: (words) => words.views.questions.activations,
    kinds: [],
    needsKinds: false,
    cost: null,
    suits: null,
    place: 'main',
    reserve: '40rem',
    component: () => import('./activations/ActivationsView.svelte'),
  },
  {
    id: 'compare',
    title: (words) => words.compare.title,
    question: (words) => words.views.questions.compare,
    kinds: ['logits', 'attn_probs'],
    needsKinds: false,
    cost: null,
    suits: () => true,
    place: 'main',
    reserve: '16rem',
    component: () => import('./compare/CompareView.svelte'),
  },
  {
    id: 'facts',
    title: (words) => words.facts.title,
    question: (words) => words.views.questions.facts,
    kinds: [],
    needsKinds: false,
    cost: null,
    suits: () => true,
    place: 'main',
    reserve: null,
    component: () => import('./facts/FactsView.svelte'),
  },
];
