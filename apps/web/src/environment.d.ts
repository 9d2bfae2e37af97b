// The variables that may be set when the page is built; read in bundle/address/model_catalogue.ts.
interface ImportMetaEnv {
  /** Address of a `manifest.json`, or of a `model.onnx` with or without `?v=…`. */
  readonly VITE_MODEL_URL?: string;
  /** Further origins that models may come from: see bundle/address/allowed_origins.ts. */
  readonly VITE_MODEL_ORIGINS?: string;
}
