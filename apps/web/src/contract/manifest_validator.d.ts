// Types of the code that apps/web/plugins/manifest_validator.ts compiles from the schemas.
interface SchemaError {
  readonly instancePath: string;
  readonly message?: string;
}
interface SchemaValidator {
  (data: unknown): boolean;
  readonly errors?: readonly SchemaError[] | null;
}
declare module 'virtual:oriel/manifest-validator' {
  export const validateManifest: SchemaValidator;
  export const validateActivations: SchemaValidator;
  /** Validator of the manifest's `model`. */
  export const validateModelRecord: SchemaValidator;
  export const validatePath: SchemaValidator;
}
declare module 'virtual:oriel/dashboards-validator' {
  export const validateDashboardIndex: SchemaValidator;
}
declare module 'virtual:oriel/lesson-validator' {
  export const validateLesson: SchemaValidator;
}
