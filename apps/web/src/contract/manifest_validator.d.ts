// Type of the code that apps/web/plugins/manifest_validator.ts compiles from the schemas.
declare module 'virtual:oriel/manifest-validator' {
  interface SchemaError {
    readonly instancePath: string;
    readonly message?: string;
  }
  interface Validator {
    (data: unknown): boolean;
    readonly errors?: readonly SchemaError[] | null;
  }
  export const validateManifest: Validator;
  export const validateActivations: Validator;
  /** Validator of the manifest's `model`. */
  export const validateModelRecord: Validator;
  export const validatePath: Validator;
}
