// Serves bundles from another origin, whole or damaged in one named way. What the page must say: engine_errors.spec.ts.
import { readFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Where a bundle lies; the demo is the one that the development server serves too. */
const folders = [join(root, 'test-results/browser/bundles'), join(root, 'apps/web/static/models')];

/** What a file turns into on its way. */
const damages = {
  none: (bytes: Buffer) => bytes,
  truncated: firstHalf,
  longer: (bytes: Buffer) => Buffer.concat([bytes, Buffer.from('more')]),
  corrupted: (bytes: Buffer) => {
    const copy = Buffer.from(bytes);
    copy[copy.length >> 1] = (copy[copy.length >> 1] ?? 0) ^ 1;
    return copy;
  },
  'newer-minor': editManifest((manifest) => ({
    ...manifest,
    contract_version: '2.999',
    something_new: { kind: 'unheard of' },
  })),
  'other-major': editManifest((manifest) => ({ ...manifest, contract_version: '3.0' })),
  'bad-path': editManifest(
    (manifest) =>
      JSON.parse(
        JSON.stringify(manifest).replaceAll('"model.onnx.data"', '"../model.onnx.data"'),
      ) as Record<string, unknown>,
  ),
  /** As if the fp16 graph were made of what every GPU has. */
  'hides-float16': editManifest((manifest) => ({
    ...manifest,
    variants: (manifest['variants'] as Record<string, unknown>[]).map((variant) =>
      variant['name'] === 'fp16' ? { ...variant, kernels: 'fp32' } : variant,
    ),
  })),
  'not-json': () => Buffer.from('weights: none'),
} satisfies Record<string, (bytes: Buffer) => Buffer>;

export type Fault = keyof typeof damages | 'missing' | 'html' | 'stalled' | 'cut-off';

export interface BundleServer {
  /** Address of a bundle's manifest, with `fault` done to `file`. */
  url(bundle: string, file?: string, fault?: Fault): string;
  /** Path and query of every request so far. */
  readonly requests: string[];
  close(): Promise<void>;
}

export async function startBundleServer(): Promise<BundleServer> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    const { pathname, search } = new URL(request.url ?? '/', 'http://localhost');
    requests.push(pathname + search);
    // `/fault/damaged file/bundle/file`
    const [, fault = '', damaged = '', bundle = '', ...rest] = pathname.split('/');
    const file = rest.join('/');
    response.setHeader('Access-Control-Allow-Origin', '*');
    readBundleFile(bundle, file).then(
      (bytes) => {
        answer(response, bytes, file === damaged ? (fault as Fault) : 'none');
      },
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: (bundle, file = '-', fault = 'none') =>
      `http://localhost:${port}/${fault}/${file}/${bundle}/manifest.json`,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

function answer(response: ServerResponse, bytes: Buffer, fault: Fault): void {
  switch (fault) {
    case 'missing':
      response.writeHead(404).end();
      return;
    case 'html':
      response.setHeader('Content-Type', 'text/html; charset=utf-8');
      response.end('<!doctype html><title>Start page</title>');
      return;
    case 'stalled':
      response.write(firstHalf(bytes));
      return;
    case 'cut-off':
      response.setHeader('Content-Length', bytes.length);
      response.write(firstHalf(bytes), () => response.destroy());
      return;
    case 'none':
    case 'truncated':
    case 'longer':
    case 'corrupted':
    case 'newer-minor':
    case 'other-major':
    case 'bad-path':
    case 'hides-float16':
    case 'not-json':
      response.setHeader('Content-Type', 'application/octet-stream');
      response.end(damages[fault](bytes));
  }
}

function firstHalf(bytes: Buffer): Buffer {
  return bytes.subarray(0, bytes.length >> 1);
}

async function readBundleFile(bundle: string, file: string): Promise<Buffer> {
  const path = normalize(join('/', bundle, file));
  for (const folder of folders) {
    const bytes = await readFile(join(folder, path)).catch(() => null);
    if (bytes !== null) return bytes;
  }
  throw new Error(`no ${path}`);
}

function editManifest(
  edit: (manifest: Record<string, unknown>) => Record<string, unknown>,
): (bytes: Buffer) => Buffer {
  return (bytes) =>
    Buffer.from(
      JSON.stringify(edit(JSON.parse(bytes.toString('utf8')) as Record<string, unknown>)),
    );
}
