// Type of the code that apps/web/plugins/manifest_validator.ts compiles from the schemas.
declare module 'virtual:oriel/manifest-validator' {
  interface SchemaError {
    readonly instancePath: string;
    readonly message?: string;
  }
  export const validateManifest: {
    (data: unknown): boolean;
    readonly errors?: readonly SchemaError[] | null;
  };
}
