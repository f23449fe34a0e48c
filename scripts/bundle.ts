import { build, type Metafile, type Plugin } from 'esbuild';

/** Options of {@link bundleAgent}. */
export interface BundleInit {
  /** Folder of the repository. */
  readonly root: string;
  /** Path of the bundle. */
  readonly outfile: string;
  /** Path of the first source file, absolute or from the folder of the repository. Default `agent/main.ts`. */
  readonly entry?: string;
  /** First line, with which the kernel can run the file: `#!/usr/bin/node`. */
  readonly hashbang?: string;
  /** Whether to write a source map and the licence comments beside the file. Default true. */
  readonly companions?: boolean;
}

/**
 * Bundles the agent, or another program of the repository in the same way, into one file for Node.js 24. The same sources give the same bytes in any folder.
 *
 * @returns the source files of the bundle, by path relative to `root`
 */
export async function bundleAgent(init: BundleInit): Promise<Metafile['inputs']> {
  const { root, outfile, entry = 'agent/main.ts', hashbang, companions = true } = init;
  // CommonJS packages load built-in modules with require, which ES modules lack.
  const require =
    "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);";
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    minifySyntax: true,
    minifyWhitespace: true,
    // minifyIdentifiers stays off, so that stack traces in logs are readable.
    keepNames: false,
    sourcemap: companions ? 'linked' : false,
    sourcesContent: false,
    legalComments: companions ? 'linked' : 'none',
    banner: { js: hashbang === undefined ? require : `${hashbang}\n${require}` },
    plugins: [
      onlyWhatIsUsedOfUndici(root),
      withoutTracing(),
      withoutFetchOfNode(),
      withoutPrefixesOfKadDht(),
    ],
    metafile: true,
    logLevel: 'warning',
  });
  return metafile.inputs;
}

/**
 * The index of undici loads everything, including `fetch`, caches, web sockets and mocks (0.4 MiB of source). The agent uses
 * only one class with one method, the connector and the errors, so the bundle includes only their files. The names of these
 * files are not part of undici's interface. But its version is pinned, and this build fails if a file is missing.
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

/**
 * prom-client loads OpenTelemetry's API (43 KiB) only to add exemplars to its own CPU counters, and exemplars are off. The bundle has
 * the two functions that it would call, for a program without tracing.
 */
function withoutTracing(): Plugin {
  return {
    name: 'without tracing',
    setup(bundle) {
      const namespace = 'no-tracing';
      bundle.onResolve({ filter: /^@opentelemetry\/api$/ }, ({ path }) => ({ path, namespace }));
      bundle.onLoad({ filter: /.*/, namespace }, () => ({
        contents: `
        export const context = { active: () => undefined };
        export const trace = { getSpan: () => undefined };
      `,
      }));
    },
  };
}

/**
 * Lets the agent load `node:http` by a function. An import of it reads all that the module exports, and one of these is a
 * getter that loads Node.js' own copy of undici, for `WebSocket`: 13 MiB that the agent has no use for.
 */
function withoutFetchOfNode(): Plugin {
  return {
    name: "without Node's fetch",
    setup(bundle) {
      const namespace = 'node-http';
      bundle.onResolve({ filter: /^(node:)?http$/ }, ({ kind, path }) =>
        kind === 'import-statement' ? { path, namespace } : undefined,
      );
      bundle.onLoad({ filter: /.*/, namespace }, () => ({
        contents: "module.exports = process.getBuiltinModule('http');",
      }));
    },
  };
}

/**
 * kad-dht makes keys for the refresh of its table from a list of 32,768 numbers, which takes 0.9 MiB. The agent never lets
 * it refresh (`routing/node/kad-service.ts`), so the bundle has an empty list. This build fails if the file is missing.
 */
function withoutPrefixesOfKadDht(): Plugin {
  return {
    name: 'without prefixes of kad-dht',
    setup(bundle) {
      const filter = /kad-dht[\\/].*[\\/]generated-prefix-list\.js$/;
      let isFound = false;
      bundle.onLoad({ filter }, () => {
        isFound = true;
        return { contents: 'export default [];' };
      });
      bundle.onEnd(({ metafile }) => {
        const hasKad = Object.keys(metafile?.inputs ?? {}).some((path) =>
          path.includes('@libp2p/kad-dht/'),
        );
        if (hasKad && !isFound)
          return { errors: [{ text: 'kad-dht has no generated-prefix-list.js any more' }] };
        return undefined;
      });
    },
  };
}
