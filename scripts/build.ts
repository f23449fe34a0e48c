import { copyFileSync, existsSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { build, type Plugin } from 'esbuild';

const root = join(import.meta.dirname, '..');
const outfile = join(root, 'dist/peerglass.mjs');

/**
 * Undici's index loads all of it, `fetch`, caches, web sockets and mocks included (0.4 MiB of source). Of it the
 * agent uses one class with one method, so the bundle takes the files that these are in. Their names are no part of
 * undici's interface, but its version is pinned, and this build fails when they are gone.
 */
const onlyWhatIsUsedOfUndici: Plugin = {
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
        Dispatcher.prototype.request = request;
        export { Agent };
      `,
    }));
  },
};

await build({
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
  sourcemap: 'linked',
  sourcesContent: false,
  legalComments: 'linked',
  // Packages in CommonJS ask for built-in modules by require, which ES modules do not have by themselves.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
  plugins: [onlyWhatIsUsedOfUndici],
  logLevel: 'warning',
});

// koffi, without which the agent does the same more slowly (agent/kernel): its binary for this platform, beside
// the bundle. Its own scripts would look for it in node_modules.
const { platform, arch } = process;
const native = `node_modules/@koromix/koffi-${platform}-${arch}/${platform}_${arch}/koffi.node`;
const beside = join(root, 'dist/koffi.node');
rmSync(beside, { force: true });
if (existsSync(join(root, native))) {
  copyFileSync(join(root, native), beside);
  copyFileSync(join(root, 'node_modules/koffi/LICENSE.txt'), `${beside}.LEGAL.txt`);
} else process.stderr.write(`no ${native}: blobs will go as streams\n`);

process.stdout.write(`${outfile}: ${Math.round(statSync(outfile).size / 1024)} KiB\n`);
