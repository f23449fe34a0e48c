import { build, type Metafile, type Plugin } from 'esbuild';

/** A bundle to be made. */
export interface BundleInit {
  /** Folder of the repository. */
  readonly root: string;
  /** The file to write. */
  readonly outfile: string;
  /** First line, for a system whose kernel is to run the file: `#!/usr/bin/node`. */
  readonly hashbang?: string;
  /** A source map beside the file, and the comments on licences of what is in it. Default true. */
  readonly companions?: boolean;
}

/**
 * Bundles the agent into one file that Node.js 24 runs. The same sources give the same bytes in whatever folder.
 *
 * @returns what went into it, by paths relative to `root`
 */
export async function bundleAgent(init: BundleInit): Promise<Metafile['inputs']> {
  const { root, outfile, hashbang, companions = true } = init;
  // Packages in CommonJS ask for built-in modules by require, which ES modules do not have by themselves.
  const require =
    "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);";
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: ['agent/main.ts'],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    minifySyntax: true,
    minifyWhitespace: true,
    // Names stay, so that a stack trace in somebody's log can be read.
    keepNames: false,
    sourcemap: companions ? 'linked' : false,
    sourcesContent: false,
    legalComments: companions ? 'linked' : 'none',
    banner: { js: hashbang === undefined ? require : `${hashbang}\n${require}` },
    plugins: [onlyWhatIsUsedOfUndici(root)],
    metafile: true,
    logLevel: 'warning',
  });
  return metafile.inputs;
}

/**
 * Undici's index loads all of it, `fetch`, caches, web sockets and mocks included (0.4 MiB of source). Of it the
 * agent uses a class with one method, its connector and its errors, so the bundle takes the files that these are in. Their names are no part of
 * undici's interface, but its version is pinned, and this build fails when they are gone.
 */
function onlyWhatIsUsedOfUndici(root: string): Plugin {
  return {
    name: 'only what is used of undici',
    setup(bundle) {
      const namespace = 'undici-agent';
      bundle.onResolve({ filter: /^undici$/ }, ({ path }) => ({ path, namespace }));
      bundle.onLoad({ filter: /.*/, namespace }, () => ({
        resolveDir: root,
        contents: `
        import Agent from 'undici/lib/dispatcher/agent.js';
        import Dispatcher from 'undici/lib/dispatcher/dispatcher.js';
        import request from 'undici/lib/api/api-request.js';
        import errors from 'undici/lib/core/errors.js';
        import buildConnector from 'undici/lib/core/connect.js';
        Dispatcher.prototype.request = request;
        export { Agent, buildConnector, errors };
      `,
      }));
    },
  };
}
