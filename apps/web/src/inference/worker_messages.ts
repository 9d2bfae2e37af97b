// The messages between the page and the worker. Data only; they are sent by model_client.ts and model.worker.ts.
import type { Sweep, SweepRequest } from '../analysis/patching';
import type { FeatureReading, FeaturesRequest } from './feature_reading';
import type { LensMeasures, LensRequest } from './lens_reading';
import type { ReadUnits, UnitsRequest } from './read_dashboards';
import type { NeuronReading, NeuronsRequest } from './neuron_reading';
import type { DeviceProof } from './client_interface';
import type {
  BatchRequest,
  BatchResult,
  FirstPass,
  ModelErrorData,
  OpenedModel,
  OpenRequest,
  Progress,
  RunRequest,
  RunResult,
  CachedModels,
  Survey,
  TokenPiece,
} from './model_types';
import type { Alternatives, AlternativesRequest } from './token_alternatives';

/** Every method of the worker, with its argument and result. */
export interface WorkerMethods {
  firstPass: (request: OpenRequest) => FirstPass | null;
  survey: (request: OpenRequest) => Survey;
  open: (request: OpenRequest) => OpenedModel;
  reach: (request: OpenRequest) => null;
  setActivations: (names: readonly string[]) => OpenedModel;
  setLens: (name: string) => OpenedModel;
  cachedModels: (nothing: null) => CachedModels;
  forget: (url: string | null) => CachedModels;
  encode: (text: string) => TokenPiece[];
  pieces: (ids: readonly number[]) => TokenPiece[];
  savedGraph: (nothing: null) => Uint8Array<ArrayBuffer>;
  prove: (nothing: null) => DeviceProof | null;
  run: (request: RunRequest) => RunResult;
  runBatch: (request: BatchRequest) => BatchResult;
  alternatives: (request: AlternativesRequest) => Alternatives;
  sweep: (request: SweepRequest) => Sweep;
  measureLens: (request: LensRequest) => LensMeasures;
  readNeurons: (request: NeuronsRequest) => NeuronReading;
  readUnits: (request: UnitsRequest) => ReadUnits;
  openDictionary: (name: string) => null;
  readFeatures: (request: FeaturesRequest) => FeatureReading;
  /** Abort the analysis with this number of its call. */
  endSweep: (call: number) => null;
}

export type WorkerMethod = keyof WorkerMethods;

/** `argument` belongs to `method`; the number `call` matches answers to their call. */
export type WorkerCall = {
  [Method in WorkerMethod]: {
    readonly call: number;
    readonly method: Method;
    readonly argument: Parameters<WorkerMethods[Method]>[0];
  };
}[WorkerMethod];

export type WorkerAnswer =
  | { readonly call: number; readonly kind: 'progress'; readonly progress: Progress }
  /** Progress of an analysis: finished runs and their total; of a dictionary, bytes. */
  | {
      readonly call: number;
      readonly kind: 'swept';
      readonly done: number;
      readonly of: number;
    }
  | { readonly call: number; readonly kind: 'error'; readonly error: ModelErrorData }
  | {
      readonly call: number;
      readonly kind: 'result';
      readonly result: ReturnType<WorkerMethods[WorkerMethod]>;
    };
