import assert from 'node:assert/strict';

import type { BuiltImage } from '../images/image.ts';
import type { AgentProcess } from './agent-process.ts';
import { waitFor, type WaitOptions } from './wait.ts';

/** Time for an answer of the mirror, in milliseconds: far above its resolve timeout, far below a hang. */
const ANSWER_LIMIT_MS = 5000;

/** The parts of a reference such as `registry.example.test/team/app:1.0`. */
function splitName(name: string): { registry: string; repository: string; tag: string } {
  const match = /^([^/]+)\/(.+):([^:/]+)$/.exec(name);
  if (match === null) throw new Error(`${name} is not registry/repository:tag`);
  const [, registry = '', repository = '', tag = ''] = match;
  return { registry, repository, tag };
}

/** The image under its digest instead of its tag. */
export function nameByDigest(image: BuiltImage): string {
  const { registry, repository } = splitName(image.name);
  return `${registry}/${repository}@${image.target.digest}`;
}

/** Path of the image's manifest at a mirror, by tag unless a digest is given. */
export function manifestPath(image: BuiltImage, digest?: string): string {
  const { registry, repository, tag } = splitName(image.name);
  const reference = digest ?? tag;
  return `/v2/${repository}/manifests/${reference}?ns=${encodeURIComponent(registry)}`;
}

/** Path of one of the image's blobs at a mirror. */
export function blobPathOf(image: BuiltImage, digest: string): string {
  const { registry, repository } = splitName(image.name);
  return `/v2/${repository}/blobs/${digest}?ns=${encodeURIComponent(registry)}`;
}

/** The paths of all requests of a pull: the tag, and every manifest, config and layer. */
export function allPaths(image: BuiltImage): string[] {
  const manifests = new Set(image.manifests.map(({ descriptor }) => descriptor.digest));
  manifests.add(image.target.digest);
  const paths = image.blobs.map(({ digest }) =>
    manifests.has(digest) ? manifestPath(image, digest) : blobPathOf(image, digest),
  );
  return [manifestPath(image), ...paths];
}

/** Whoever answers for a node: its agent, as a process or in a pod. */
export type NodeMirror = Pick<AgentProcess, 'node' | 'fetch'>;

/** Status of a HEAD at the agent, which must not take longer than a mirror may. */
export async function headStatus(agent: NodeMirror, path: string): Promise<number> {
  const signal = AbortSignal.timeout(ANSWER_LIMIT_MS);
  const response = await agent.fetch(path, { method: 'HEAD', signal });
  await response.body?.cancel();
  return response.status;
}

/** Repeats requests until the mirror has all content of a pull. */
export async function waitUntilVisible(
  agent: NodeMirror,
  image: BuiltImage,
  options?: WaitOptions,
): Promise<void> {
  for (const path of allPaths(image)) {
    const what = `${agent.node.host.name} finds ${path}`;
    await waitFor(what, async () => (await headStatus(agent, path)) === 200, options);
  }
}

/** Whether the mirror gives the first byte of content. A HEAD asks what a name means, which it may leave to the registry. */
export async function givesContent(agent: NodeMirror, path: string): Promise<boolean> {
  const signal = AbortSignal.timeout(ANSWER_LIMIT_MS);
  const response = await agent.fetch(path, { headers: { range: 'bytes=0-0' }, signal });
  await response.body?.cancel();
  return response.status === 200 || response.status === 206;
}

/** As {@link waitUntilVisible}, for a mirror that leaves names to the registry: it must know the tag, and have all content. */
export async function waitUntilPullable(agent: NodeMirror, image: BuiltImage): Promise<void> {
  const [tag = '', ...content] = allPaths(image);
  await waitFor(`${tag} is named`, async () => (await headStatus(agent, tag)) === 200);
  for (const path of content) await waitFor(`${path} is found`, () => givesContent(agent, path));
}

/** Asserts what the mirror answers to a HEAD. */
export async function assertHead(agent: NodeMirror, path: string, status: number): Promise<void> {
  assert.equal(await headStatus(agent, path), status, `${agent.node.host.name}: HEAD ${path}`);
}
