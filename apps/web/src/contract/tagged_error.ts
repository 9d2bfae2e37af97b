// The one shape of errors: tagged data inside an Error. Which tags there are is said by each module.

/** Callers narrow on `data.kind`; the message is for logs only and is never parsed. */
export class TaggedError<Data extends { readonly kind: string }> extends Error {
  readonly data: Data;

  constructor(data: Data, options?: ErrorOptions) {
    super(JSON.stringify(data), options);
    this.name = 'TaggedError';
    this.data = data;
  }

  get kind(): Data['kind'] {
    return this.data.kind;
  }
}
