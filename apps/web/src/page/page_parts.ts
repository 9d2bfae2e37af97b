// The parts of the page that its model, its address and its views share.
import type { ComparedModel } from '../session/compared_model.svelte';
import type { Comparisons } from '../session/comparisons.svelte';
import type { KeptRuns } from '../session/kept_runs.svelte';
import type { ModelSession } from '../session/model_session.svelte';
import type { Preferences } from '../views/preferences.svelte';
import type { Viewing } from '../views/viewing.svelte';
import type { Address } from './address.svelte';
import type { Course } from './course.svelte';
import type { OpenedActivations } from './opened_activations.svelte';

export interface PageParts {
  readonly session: ModelSession;
  readonly compared: ComparedModel;
  readonly comparisons: Comparisons;
  readonly runs: KeptRuns;
  readonly viewing: Viewing;
  readonly preferences: Preferences;
  readonly address: Address;
  readonly activations: OpenedActivations;
  readonly course: Course;
}
