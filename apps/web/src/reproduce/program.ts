// A program that computes numbers on the screen again with PyTorch and transformers alone, as parts in their order.
// python_script.ts and notebook.ts write it to files.
import type { Interventions } from '../inference/interventions';
import { editWords } from './edit_words';
import { editedPlaces, editsInPython, isOfTokens } from './edits_in_python';
import { hooksAt, isHooked, needsAttention, type Place } from './hooks';
import { modulePathsOf, type ModulePaths } from './module_paths';
import { forwardPass } from './forward_pass';
import { helperSource } from './python_helpers';
import { commentText, pythonList, pythonNumber, pythonString } from './python_text';
import type { Recipe, RunOrigin } from './recipe';
import { recipeFor } from './recipes';
import type { ShownNumbers } from './shown_numbers';
import { continuesText } from '../contract/whole_text';
import type { ModelRecord } from '../contract/generated';

/** All that decides about the numbers besides their own place. */
export interface ShownRun {
  readonly model: ModelRecord;
  /** Name of the variant on the page. */
  readonly variant: string;
  /** Name of the variant's encoding is float32: then the numbers agree up to rounding. */
  readonly isExact: boolean;
  readonly ids: readonly number[];
  readonly interventions: Interventions;
  readonly labelOf: (id: number) => string;
}

export interface ProgramPart {
  /** A heading, without markup of its own. */
  readonly title: string;
  readonly lines: readonly string[];
  /** True for the part that names files, which a script takes as arguments. */
  readonly isFiles?: boolean;
}

export interface Program {
  readonly title: string;
  readonly facts: readonly string[];
  readonly imports: readonly string[];
  readonly files: readonly ProgramFile[];
  readonly parts: readonly ProgramPart[];
}

export interface ProgramFile {
  readonly variable: string;
  /** Its default; null where the user has to give it. */
  readonly preset: string | null;
  /** The name to write where the user has to give a path. */
  readonly name: string;
  readonly what: string;
}

/** The numbers that a program computes, and the places where it reads and changes the model. */
interface Plan {
  readonly paths: ModulePaths;
  readonly recipe: Recipe;
  readonly places: readonly Place[];
}

/** Return the plan; null where this architecture or kind of activation has no program. */
function planFor(shown: ShownNumbers, run: ShownRun): Plan | null {
  const paths = modulePathsOf(run.model);
  if (paths === null) return null;
  const edited = editedPlaces(run.interventions);
  const origin: RunOrigin = {
    model: run.model,
    paths,
    ids: run.ids,
    labelOf: run.labelOf,
    ownAttention: needsAttention(edited),
    isEdited: edited.length > 0,
  };
  const recipe = recipeFor(shown, origin);
  if (recipe === null) return null;
  const places = [...edited, ...recipe.sees];
  // Values that are given token by token end with the text.
  if ((recipe.tokensBehind ?? 0) > 0 && run.interventions.some(isOfTokens)) return null;
  return places.every(({ joint }) => isHooked(joint)) ? { paths, recipe, places } : null;
}

/** Return whether there is a program, without writing it: a view asks anew with every hover. */
export function hasProgram(shown: ShownNumbers, run: ShownRun): boolean {
  return planFor(shown, run) !== null;
}

/** Return the program; null where this architecture or kind of activation has none. */
export function programFor(shown: ShownNumbers, run: ShownRun): Program | null {
  const plan = planFor(shown, run);
  if (plan === null) return null;
  const { paths, recipe, places } = plan;
  const { shape } = run.model;
  const { tokensBehind = 0 } = recipe;
  const edits = editsInPython(run.interventions, shape, run.ids.length + tokensBehind);
  const hooks = hooksAt(places, paths, shape);
  const ownAttention = needsAttention(places) && paths.products === null;
  const helpers = helperSource([...hooks.helpers, ...edits.helpers]);
  return {
    title: recipe.title,
    facts: [...factsOf(run), ...recipe.notes],
    imports: importsOf(run.model, [...helpers, ...edits.lines], recipe, ownAttention),
    files: filesOf(run.model, recipe),
    parts: [
      { title: 'The text as token ids', lines: idLines(run) },
      ...(helpers.length === 0
        ? []
        : [
            {
              title: 'Hooks that read and change what flows in the model',
              lines: [...joined(helpers), ''],
            },
          ]),
      {
        title: 'The model',
        lines: [...modelLines(run.model, ownAttention), ...paths.prepare, ...hooks.lines],
      },
      ...(edits.lines.length === 0 ? [] : [{ title: 'The edits', lines: edits.lines }]),
      { title: recipe.title, lines: runLines(recipe, { model: run.model, paths }) },
      { title: 'The numbers on the screen, and these', lines: comparison(recipe) },
    ],
  };
}

function factsOf({ model, variant, isExact, ids, interventions }: ShownRun): string[] {
  return [
    `Model: ${model.name} (${model.architecture}), weights ${model.weights_digest}.`,
    `Variant on the page: ${variant}.${isExact ? '' : ' Its weights or kernels are rounded, so its numbers differ from these of float32.'}`,
    `Tokens: ${ids.length}.`,
    ...(interventions.length === 0 ? [] : [`Edits: ${interventions.map(editWords).join('; ')}.`]),
  ];
}

function importsOf(
  model: ModelRecord,
  lines: readonly string[],
  { file }: Recipe,
  ownAttention: boolean,
): string[] {
  const written = lines.join('\n');
  const classes = [autoClass(model), ...(ownAttention ? ['AttentionInterface'] : [])];
  return [
    ...(written.includes('base64.') ? ['import base64', ''] : []),
    'import torch',
    ...(file === null ? [] : ['from safetensors import safe_open']),
    ...(written.includes('(TorchFunctionMode)')
      ? ['from torch.overrides import TorchFunctionMode']
      : []),
    `from transformers import ${classes.sort().join(', ')}`,
  ];
}

/** Return the name of transformers' class that opens the model with its head over the vocabulary. */
function autoClass({ shape }: ModelRecord): string {
  return continuesText(shape) ? 'AutoModelForCausalLM' : 'AutoModelForMaskedLM';
}

function filesOf({ name, source }: ModelRecord, { file }: Recipe): ProgramFile[] {
  const isHub = source.kind === 'hub';
  return [
    {
      variable: 'source',
      preset: isHub ? source.id : null,
      name: isHub ? source.id : name,
      what: isHub ? 'the checkpoint' : `the folder of the checkpoint ${name}`,
    },
    ...(file === null
      ? []
      : [{ variable: file.variable, preset: null, name: file.name, what: file.what }]),
  ];
}

function idLines({ ids, labelOf }: ShownRun): string[] {
  return [
    `ids = torch.tensor([${pythonList(ids.map(String))}])`,
    // The text for readers; the ids alone are run.
    `tokens = ${pythonList(ids.map((id) => pythonString(labelOf(id))))}`,
  ];
}

function modelLines(model: ModelRecord, ownAttention: boolean): string[] {
  const { source, shape } = model;
  const revision =
    source.kind === 'hub' && typeof source.revision === 'string'
      ? `, revision=${pythonString(source.revision)}`
      : '';
  const attention = ownAttention ? 'shown' : 'eager';
  // The kernel for several experts at once refuses some widths.
  const experts = (shape.experts ?? 0) > 0 ? ', experts_implementation="eager"' : '';
  return [
    `model = ${autoClass(model)}.from_pretrained(source${revision}, attn_implementation="${attention}"${experts})`,
    'model = model.float().eval()',
  ];
}

function runLines(
  { attentions, compute, tokensBehind = 0 }: Recipe,
  origin: Pick<RunOrigin, 'model' | 'paths'>,
): string[] {
  return [
    'with torch.no_grad():',
    // A recipe that runs more than the text does so by itself.
    ...(tokensBehind > 0 ? [] : [`    output = ${forwardPass(origin, 'ids', attentions)}`]),
    ...compute.flatMap((line) => line.split('\n')).map((line) => `    ${line}`),
  ];
}

function comparison({ names, shown }: Recipe): string[] {
  return [
    // They are printed, and a token may hold what a terminal obeys.
    `names = ${pythonList(names.map((name) => pythonString(commentText(name))))}`,
    `shown = ${pythonList(shown.map(pythonNumber))}`,
    'computed = computed.tolist()',
    'for name, there, here in zip(names, shown, computed):',
    '    print(f"{name:<24} on screen {there:<14.7g} here {here:<14.7g} difference {here - there:+.1e}")',
    'print(f"largest difference {max(abs(a - b) for a, b in zip(shown, computed)):.1e}")',
  ];
}

function joined(sources: readonly string[]): string[] {
  return sources.flatMap((source, at) => [...(at === 0 ? [] : ['', '']), ...source.split('\n')]);
}
