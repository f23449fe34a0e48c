import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';

import { parseAllDocuments } from 'yaml';

import { CHART } from './generate.ts';
import type { KubernetesApi } from './kubernetes-api.ts';
import type { Manifest } from './manifest.ts';
import { TOOLS } from './tools.ts';

/** The release and the namespace of all that is rendered. */
const RELEASE = ['test', CHART, '--namespace', 'peerglass'];

/** What an installation would do. */
interface Installation {
  readonly manifests: readonly Manifest[];
  readonly notes: string;
}

/**
 * What `helm template` makes of the values, hooks included.
 *
 * @param kubernetes version of the cluster, `1.34`
 * @throws Error with what helm says
 */
export async function template(values: unknown, kubernetes: string): Promise<Manifest[]> {
  return parse(
    await helm(['template', ...RELEASE, '--kube-version', kubernetes, '--values', '-'], values),
  );
}

/**
 * What `helm install` would do on a cluster, and say.
 *
 * @throws Error with what helm says
 */
export async function install(values: unknown, api: KubernetesApi): Promise<Installation> {
  const args = ['--dry-run=server', '--disable-openapi-validation', '--kube-apiserver', api.url];
  const json = await helm(['install', ...RELEASE, ...args, '-o', 'json', '--values', '-'], values);
  const release = JSON.parse(json) as {
    manifest: string;
    hooks: readonly { manifest: string }[];
    info: { notes: string };
  };
  const hooks = release.hooks.flatMap(({ manifest }) => parse(manifest));
  return { manifests: [...parse(release.manifest), ...hooks], notes: release.info.notes };
}

/**
 * Runs helm.
 *
 * @param values for its standard input
 * @throws Error with what helm says
 */
export function helm(args: readonly string[], values: unknown = {}): Promise<string> {
  return runTool(TOOLS.helm, args, JSON.stringify(values));
}

/**
 * Runs a program.
 *
 * @throws Error with what it says, when it fails
 */
export async function runTool(
  program: string,
  args: readonly string[],
  input: string,
): Promise<string> {
  const child = spawn(program, args);
  child.stdin.on('error', () => undefined).end(input);
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject).once('close', resolve);
  });
  const [out, problems, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  if (code !== 0) throw new Error(`${problems}${out}`);
  return out;
}

function parse(yaml: string): Manifest[] {
  return parseAllDocuments(yaml)
    .map((document) => {
      for (const problem of document.errors) throw problem;
      return document.toJS() as Manifest | null;
    })
    .filter((manifest) => manifest !== null);
}
