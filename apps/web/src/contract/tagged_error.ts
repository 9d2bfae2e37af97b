// The base class of the page's errors: tagged data inside an Error. Each module defines its own tags.

/** An Error with typed data. Callers narrow on `data.kind`; the message is for logs only and is never parsed. */
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
