import { join } from 'node:path';

import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

/**
 * Which folders of `agent/` a folder may import from, itself apart. Imports run one way so that each
 * layer can be read, tested and replaced without those above it; docs/ARCHITECTURE.md draws the graph.
 *
 * @type {Record<string, readonly string[]>}
 */
const LAYERS = {
  errors: [],
  addresses: [],
  files: ['errors'],
  oci: [],
  timing: [],
  metrics: [],
  native: ['timing'],
  streams: [],
  proxies: [],
  config: ['oci'],
  store: ['errors', 'oci', 'timing', 'metrics', 'streams'],
  hosts: ['errors', 'oci', 'timing', 'metrics'],
  kubernetes: ['errors', 'timing'],
  integrity: ['errors', 'oci', 'timing', 'metrics', 'store'],
  membership: ['errors', 'files', 'timing'],
  signatures: ['membership'],
  routing: ['addresses', 'errors', 'files', 'oci', 'timing', 'metrics', 'membership'],
  inventory: ['oci', 'timing', 'metrics', 'store', 'routing'],
  tls: ['errors', 'files', 'timing', 'metrics'],
  content: ['errors', 'oci', 'timing', 'metrics', 'native', 'streams', 'store'],
  transfer: [
    'errors',
    'oci',
    'timing',
    'metrics',
    'native',
    'streams',
    'tls',
    'store',
    'routing',
    'content',
    'signatures',
  ],
  fanout: [
    'errors',
    'oci',
    'timing',
    'metrics',
    'native',
    'streams',
    'store',
    'routing',
    'content',
  ],
  // It reads where registries are, and who may pull there, from the types of registries.yaml. Its bodies by http go the way of
  // those of peers.
  upstream: [
    'native',
    'transfer',
    'addresses',
    'errors',
    'files',
    'oci',
    'timing',
    'metrics',
    'streams',
    'proxies',
    'hosts',
    'content',
  ],
  doctor: ['errors', 'files', 'oci', 'timing', 'config', 'native', 'proxies', 'store', 'hosts'],
  http: ['errors', 'oci', 'timing', 'metrics', 'native', 'streams', 'tls'],
  'basic-auth': ['errors', 'files', 'oci', 'timing', 'hosts', 'http'],
  mirror: [
    'errors',
    'oci',
    'timing',
    'metrics',
    'native',
    'streams',
    'store',
    'content',
    'transfer',
    'http',
    'signatures',
  ],
  admin: ['errors', 'timing', 'metrics', 'routing', 'http'],
  app: [
    'errors',
    'oci',
    'timing',
    'config',
    'metrics',
    'native',
    'proxies',
    'tls',
    'store',
    'hosts',
    'integrity',
    'membership',
    'signatures',
    'routing',
    'inventory',
    'content',
    'transfer',
    'fanout',
    'upstream',
    'http',
    'mirror',
    'admin',
    'basic-auth',
  ],
  cli: [
    'errors',
    'timing',
    'config',
    'oci',
    'membership',
    'hosts',
    'tls',
    'http',
    'doctor',
    'kubernetes',
    'basic-auth',
    'app',
  ],
};
const oneWayImports = Object.entries(LAYERS).map(([layer, allowed]) => {
  const forbidden = Object.keys(LAYERS).filter((name) => name !== layer && !allowed.includes(name));
  const reach = allowed.length === 0 ? 'nothing of ours' : allowed.join(', ');
  return {
    files: [`agent/${layer}/**/*.ts`],
    ignores: ['**/*.test.ts', '**/*.e2e.ts'],
    rules: /** @type {import('eslint').Linter.RulesRecord} */ ({
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            ...(forbidden.length === 0
              ? []
              : [
                  {
                    regex: `^\\.\\./(\\.\\./)*(${forbidden.join('|')})(/|$)`,
                    message: `Imports run one way: agent/${layer} may import ${reach}, so that it can be read, tested and replaced without the layers above it. Pass what you need in through the constructor.`,
                  },
                ]),
            {
              regex: '/testing/',
              message: 'agent/testing is for tests: shipped code must not depend on it.',
            },
          ],
        },
      ],
    }),
  };
});

export default defineConfig(
  { ignores: ['node_modules', 'dist', 'proto/generated', '.e2e-cache'] },
  ...tseslint.configs.strictTypeChecked,
  ...tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: join(import.meta.dirname, '..') },
    },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      eqeqeq: 'error',
      'no-console': 'error',
      'no-param-reassign': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      'no-restricted-syntax': [
        'error',
        {
          selector: 'ExportDefaultDeclaration',
          message: 'Named exports only: a name that is the same everywhere can be searched for.',
        },
      ],
    },
  },
  {
    // node:test registers through promises that the runner awaits itself.
    files: ['**/*.test.ts', '**/*.e2e.ts', 'agent/testing/**'],
    rules: {
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafeCalls: [
            {
              from: 'package',
              package: 'node:test',
              name: [
                'test',
                'it',
                'describe',
                'suite',
                'before',
                'after',
                'beforeEach',
                'afterEach',
              ],
            },
          ],
        },
      ],
    },
  },
  {
    files: ['.config/eslint.config.js'],
    rules: { 'no-restricted-syntax': 'off' },
  },
  ...oneWayImports,
);
