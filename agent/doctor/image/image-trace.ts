import type { NamespaceAnswer } from '../../native/network-namespace.ts';
import { parseDigest, type Digest } from '../../oci/digest.ts';
import { isNodeLocalRegistry } from '../../oci/node-local-registry.ts';
import { canonicalName, tagName, type Reference } from '../../oci/reference.ts';
import type { Facts } from '../facts.ts';
import { readManifest } from '../missing-layers.ts';
import { HAS_IT, type ImagePart } from './image-report.ts';
import type { ImageDescriptor } from './manifest-tree.ts';
import type { MirrorClient } from './mirror-client.ts';
import { policyOf, type Settings } from './settings.ts';

/** Finds out which nodes have the content of one repository, and what the mirror answers. */
export class ImageTrace {
  readonly #facts: Facts;
  readonly #settings: Settings;
  readonly #reference: Reference;
  readonly #mirror: MirrorClient;

  /** @param mirror client for the repository of the reference */
  constructor(facts: Facts, settings: Settings, reference: Reference, mirror: MirrorClient) {
    this.#facts = facts;
    this.#settings = settings;
    this.#reference = reference;
    this.#mirror = mirror;
  }

  /** Traces a tag. The digest is the one that this node's containerd or its mirror has for it. */
  async tag(
    tag: string,
    signal: AbortSignal,
  ): Promise<{ part: ImagePart; digest: Digest | undefined }> {
    const { registry, repository } = this.#reference;
    const name = tagName(registry, repository, tag);
    const [record, peers, answer] = await Promise.all([
      this.#here(async () => (await this.#record(name, signal))?.target?.digest),
      this.#providers(name, 'manifest', `:${tag}`),
      this.#mirror.ask('manifests', tag),
    ]);
    const holders = await this.#mirror.askHolders(peers, 'manifests', tag);
    const served = servedBy(answer);
    const here = record === 'unknown' ? {} : { here: record !== undefined };
    const policy = policyOf(this.#settings);
    const isForRegistry = policy.isForRegistry({ registry, repository, tag });
    const why = policy.sharesTag(registry, repository, tag)
      ? whyNot(
          answer,
          holders.map((it) => it.answer),
        )
      : this.#whyTagNotShared(tag);
    const known = record === 'unknown' ? undefined : record;
    const digest =
      known ?? ('error' in answer ? '' : (answer.headers['docker-content-digest'] ?? ''));
    return {
      part: {
        kind: 'tag',
        key: name,
        ...here,
        holders,
        ...(served ? { servedBy: served } : { why, ...(isForRegistry && { isForRegistry }) }),
      },
      digest: parseDigest(digest),
    };
  }

  /** Traces a descriptor. */
  async descriptor(
    { kind, digest, size }: ImageDescriptor,
    signal: AbortSignal,
  ): Promise<ImagePart> {
    const path = kind === 'index' || kind === 'manifest' ? 'manifests' : 'blobs';
    const base = { kind, key: digest, ...(size !== undefined && { size }) };
    if (signal.aborted) return { ...base, holders: [], why: 'not checked: no time left' };
    const [info, peers, answer] = await Promise.all([
      this.#here(() => this.#facts.containerd.info(digest, signal)),
      this.#providers(digest, path === 'blobs' ? 'blob' : 'manifest', `@${digest}`),
      this.#mirror.askContent(path, digest),
    ]);
    const holders = await this.#mirror.askHolders(peers, path, digest);
    const here = info === 'unknown' ? {} : { here: info !== undefined };
    const served = servedBy(answer);
    if (served !== undefined) return { ...base, ...here, holders, servedBy: served };
    const { registry, repository } = this.#reference;
    const answers = holders.map((it) => it.answer);
    const why = this.#settings.bad.has(digest)
      ? 'it has wrong bytes on the disk of this node'
      : !policyOf(this.#settings).sharesContent(registry, repository)
        ? this.#whyNotShared()
        : whyNot(answer, answers);
    return { ...base, ...here, holders, why };
  }

  /** Reads a manifest from this node's containerd, or from its mirror; undefined when neither has it. */
  async manifest(digest: Digest, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const local = await this.#here(() => readManifest(this.#facts.containerd, digest, signal));
    if (local !== 'unknown' && local !== undefined) return local;
    const answer = await this.#mirror.ask('manifests', digest, 'GET');
    return 'error' in answer || answer.status !== 200 ? undefined : Buffer.from(answer.body);
  }

  /** The image record of a tag. It may have the registry in capital letters, and the name is in canonical form. */
  async #record(
    name: string,
    signal: AbortSignal,
  ): Promise<Awaited<ReturnType<Facts['containerd']['image']>>> {
    const { containerd } = this.#facts;
    const exact = await containerd.image(name, signal);
    if (exact !== undefined) return exact;
    return (await containerd.images(signal)).find((image) => canonicalName(image.name) === name);
  }

  #whyTagNotShared(tag: string): string {
    const { registry, repository } = this.#reference;
    if (policyOf(this.#settings).isForRegistry({ registry, repository, tag })) {
      return 'the registry says what it means, and who may have it (--share)';
    }
    const { tags, latest } = this.#settings;
    if (isNodeLocalRegistry(registry)) {
      return `${registry} is another registry on each node: its tags are not shared, but their content is, by digest`;
    }
    if (!tags) return 'tags are not shared (--resolve-tags=false), but their content is, by digest';
    return tag === 'latest' && !latest
      ? 'the tag latest is not shared (--enable-latest), but its content is, by digest'
      : this.#whyNotShared();
  }

  #whyNotShared(): string {
    const { registries } = this.#settings;
    return registries.length > 0 && !registries.includes(this.#reference.registry)
      ? `${this.#reference.registry} is not mirrored (--mirrored-registries)`
      : 'left out by --registry-filters';
  }

  /** @param reference `:` and the tag, or `@` and the digest */
  async #providers(
    key: string,
    kind: 'manifest' | 'blob',
    reference: string,
  ): ReturnType<Facts['agent']['providers']> {
    const { registry, repository } = this.#reference;
    const of = `${kind}:${registry}/${repository}${reference}`;
    return await this.#facts.agent.providers(key, of).catch(() => []);
  }

  async #here<T>(look: () => Promise<T>): Promise<T | 'unknown'> {
    try {
      return await look();
    } catch {
      return 'unknown';
    }
  }
}

function servedBy(answer: NamespaceAnswer): string | undefined {
  if ('error' in answer || (answer.status !== 200 && answer.status !== 206)) return undefined;
  return answer.headers['x-peerglass-source'] ?? 'the mirror';
}

function whyNot(answer: NamespaceAnswer, holders: readonly string[]): string {
  if ('error' in answer) return `the mirror does not answer (${answer.error})`;
  if (holders.length === 0) return 'no node has it';
  if (holders.includes(HAS_IT))
    return 'a holder has it and did not deliver: try again, and see the log';
  return 'no node that is named as a holder serves it';
}
