// A file that the site has beside its page: compiled by itself, written after a build, and made by the development server
// when it is asked for.
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Plugin, ResolvedConfig } from 'vite';

export interface ExtraFile {
  /** Path below the site's base. */
  readonly name: string;
  readonly mediaType: string;
  readonly make: () => Promise<string>;
}

export function extraFile({ name, mediaType, make }: ExtraFile): Plugin {
  let config: ResolvedConfig;
  return {
    name: `oriel:extra-file:${name}`,
    configResolved(resolved) {
      config = resolved;
    },
    configureServer(server) {
      server.middlewares.use(`${server.config.base}${name}`, (_request, response, next) => {
        make().then((text) => {
          response.setHeader('Content-Type', `${mediaType}; charset=utf-8`);
          response.setHeader('Cache-Control', 'no-cache');
          response.end(text);
        }, next);
      });
    },
    // Before the service worker is written, which lists the files of the site.
    closeBundle: {
      sequential: true,
      async handler(error?: Error) {
        if (error !== undefined || config.command !== 'build' || config.isWorker) return;
        await writeFile(join(resolve(config.root, config.build.outDir), name), await make());
      },
    },
  };
}
