import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';

import { parseAllDocuments } from 'yaml';

import { CHART } from './generate.ts';
import type { KubernetesApi } from './kubernetes-api.ts';
import type { Manifest } from './manifest.ts';
import { TOOLS } from './tools.ts';

/** Release name, chart and namespace for all commands. */
const RELEASE = ['test', CHART, '--namespace', 'peerglass'];

/** The result of a simulated installation. */
interface Installation {
  readonly manifests: readonly Manifest[];
  readonly notes: string;
}

/**
 * Renders the chart with `helm template`, including hooks.
 *
 * @param kubernetes version of the cluster, `1.34`
 * @throws Error with the output of helm
 */
export async function template(values: unknown, kubernetes: string): Promise<Manifest[]> {
  return parse(
    await helm(['template', ...RELEASE, '--kube-version', kubernetes, '--values', '-'], values),
  );
}

/**
 * Simulates `helm install` on a cluster.
 *
 * @throws Error with the output of helm
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
 * @param values written to its standard input
 * @throws Error with the output of helm
 */
export function helm(args: readonly string[], values: unknown = {}): Promise<string> {
  return runTool(TOOLS.helm, args, JSON.stringify(values));
}

/**
 * Runs a program.
 *
 * @returns its standard output
 * @throws Error with its output, when it fails
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
