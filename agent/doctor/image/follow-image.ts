import pLimit from 'p-limit';

import type { NamespaceAnswer } from '../../native/network-namespace.ts';
import { parseDigest, type Digest } from '../../oci/digest.ts';
import { tagName, type Reference } from '../../oci/reference.ts';
import { Deadline } from '../../timing/deadline.ts';
import type { Facts } from '../facts.ts';
import { readManifest } from '../missing-layers.ts';
import { HAS_IT, type ImagePart, type ImageReport } from './image-report.ts';
import { readImageTree, type ImageDescriptor } from './manifest-tree.ts';
import { MirrorClient } from './mirror-client.ts';
import { nameOf } from './qualify.ts';
import { policyOf, settingsOf, type Settings } from './settings.ts';

/** Pieces that are followed at a time. */
const CONCURRENCY = 8;
/** Pieces of one image that are followed. */
const MAX_PIECES = 200;
/** Longest that all of it may take, in milliseconds. */
const ALL_MS = 8_500;

/** Follows one image: which node has which piece of it, who would serve it, and why not. */
export class ImageFollower {
  readonly #facts: Facts;
  readonly #version: string;
  readonly #notes: string[] = [];

  /** @param version of the program */
  constructor(facts: Facts, version: string) {
    this.#facts = facts;
    this.#version = version;
  }

  /** Never rejects: what could not be found out is in the report. */
  async follow(reference: Reference): Promise<ImageReport> {
    using deadline = new Deadline(ALL_MS);
    const { signal } = deadline;
    const settings = await this.#settings();
    const { tag } = reference;
    const identity = await this.#facts.identity();
    const origin = this.#mirrorOrigin(settings);
    const mirror = new MirrorClient(origin, reference, identity);
    const trace = new ImageTrace(this.#facts, settings, reference, mirror);

    const parts: ImagePart[] = [];
    let root: Digest | undefined = reference.digest;
    if (tag !== undefined) {
      const { part, digest } = await trace.tag(tag, signal);
      parts.push(part);
      root ??= digest;
    }
    if (root === undefined) return this.#report(reference, parts);

    const pieces = await this.#pieces(trace, root, signal);
    const limit = pLimit(CONCURRENCY);
    const followed = await Promise.all(
      pieces.slice(0, MAX_PIECES).map((piece) => limit(() => trace.piece(piece, signal))),
    );
    parts.push(...explainDiscarded(followed));
    if (pieces.length > MAX_PIECES)
      this.#notes.push(`${pieces.length - MAX_PIECES} pieces left out`);
    return this.#report(reference, parts);
  }

  #mirrorOrigin({ registryHost, registryPort, registryTls }: Settings): string {
    const { agent, init } = this.#facts;
    const bare = registryHost.includes(':') ? `[${registryHost}]` : registryHost;
    const host = bare === '' ? new URL(agent.origin).hostname : bare;
    const scheme = (registryTls ?? init.tls.cert !== '') ? 'https' : 'http';
    return `${scheme}://${host}:${registryPort}`;
  }

  async #settings(): Promise<Settings> {
    try {
      return settingsOf(await this.#facts.status());
    } catch (error) {
      this.#notes.push(messageOf(error));
      return settingsOf(undefined);
    }
  }

  async #pieces(trace: ImageTrace, root: Digest, signal: AbortSignal): Promise<ImageDescriptor[]> {
    try {
      const tree = await readImageTree(root, (digest) => trace.manifest(digest, signal));
      if (tree.otherPlatforms > 0) {
        this.#notes.push(`manifests of ${tree.otherPlatforms} other platforms are left out`);
      }
      if (tree.unread.length > 0) {
        this.#notes.push(
          `what it consists of is not known: no node here has ${tree.unread.join(', ')}`,
        );
      }
      return [...tree.pieces];
    } catch (error) {
      this.#notes.push(messageOf(error));
      return [{ kind: 'manifest', digest: root }];
    }
  }

  #report(reference: Reference, parts: readonly ImagePart[]): ImageReport {
    const missing = parts.filter(({ servedBy }) => servedBy === undefined);
    const peers = parts.filter(({ servedBy = 'local' }) => servedBy !== 'local').length;
    const served = parts.length - missing.length;
    const reason =
      missing.length === 0
        ? `The mirror would serve all of it: ${served - peers} pieces from this node, ${peers} from peers.`
        : `${missing.length} of ${parts.length} pieces would come from the registry.`;
    return {
      schema: 1,
      version: this.#version,
      image: nameOf(reference),
      result: missing.length === 0 ? 'ok' : 'failure',
      reason,
      parts,
      notes: this.#notes,
    };
  }
}

/** Finds out who has the pieces of one repository. */
class ImageTrace {
  readonly #facts: Facts;
  readonly #settings: Settings;
  readonly #reference: Reference;
  readonly #mirror: MirrorClient;

  constructor(facts: Facts, settings: Settings, reference: Reference, mirror: MirrorClient) {
    this.#facts = facts;
    this.#settings = settings;
    this.#reference = reference;
    this.#mirror = mirror;
  }

  async tag(
    tag: string,
    signal: AbortSignal,
  ): Promise<{ part: ImagePart; digest: Digest | undefined }> {
    const { registry, repository } = this.#reference;
    const name = tagName(registry, repository, tag);
    const [record, peers, answer] = await Promise.all([
      this.#here(async () => (await this.#facts.containerd.image(name, signal))?.target?.digest),
      this.#providers(name),
      this.#mirror.ask('manifests', tag),
    ]);
    const holders = await this.#mirror.askHolders(peers, 'manifests', tag);
    const served = servedBy(answer);
    const here = record === 'unknown' ? {} : { here: record !== undefined };
    const shared = policyOf(this.#settings).sharesTag(registry, repository, tag);
    const latest = tag === 'latest' && !this.#settings.latest;
    const filtered = latest
      ? 'the tag latest is not shared (--enable-latest), by digest it is'
      : this.#whyNotShared();
    const why = shared
      ? whyNot(
          answer,
          holders.map((it) => it.answer),
        )
      : filtered;
    const known = record === 'unknown' ? undefined : record;
    const told =
      known ?? ('error' in answer ? '' : (answer.headers['docker-content-digest'] ?? ''));
    return {
      part: {
        kind: 'tag',
        key: name,
        ...here,
        holders,
        ...(served ? { servedBy: served } : { why }),
      },
      digest: parseDigest(told),
    };
  }

  async piece(piece: ImageDescriptor, signal: AbortSignal): Promise<ImagePart> {
    const { kind, digest, size } = piece;
    const path = kind === 'index' || kind === 'manifest' ? 'manifests' : 'blobs';
    const base = { kind, key: digest, ...(size !== undefined && { size }) };
    if (signal.aborted) return { ...base, holders: [], why: 'not looked at: no time left' };
    const [info, peers, answer] = await Promise.all([
      this.#here(() => this.#facts.containerd.info(digest, signal)),
      this.#providers(digest),
      this.#mirror.ask(path, digest),
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

  /** The bytes of a manifest, from this node or through its mirror. */
  async manifest(digest: Digest, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const own = await this.#here(() => readManifest(this.#facts.containerd, digest, signal));
    if (own !== 'unknown' && own !== undefined) return own;
    const answer = await this.#mirror.ask('manifests', digest, 'GET');
    return 'error' in answer || answer.status !== 200 ? undefined : Buffer.from(answer.body);
  }

  #whyNotShared(): string {
    const { registries } = this.#settings;
    return registries.length > 0 && !registries.includes(this.#reference.registry)
      ? `${this.#reference.registry} is not mirrored (--mirrored-registries)`
      : 'left out by --registry-filters';
  }

  async #providers(key: string): ReturnType<Facts['agent']['providers']> {
    return await this.#facts.agent.providers(key).catch(() => []);
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
  if ('error' in answer || answer.status !== 200) return undefined;
  return answer.headers['x-peerglass-source'] ?? 'the mirror';
}

function whyNot(answer: NamespaceAnswer, holders: readonly string[]): string {
  if ('error' in answer) return `the mirror does not answer (${answer.error})`;
  if (holders.length === 0) return 'no node has it';
  if (holders.includes(HAS_IT))
    return 'a holder has it and did not deliver: try again, see the log';
  return 'no node that is named as a holder serves it';
}

/** Layers that are gone although manifest and config are there were thrown away after unpacking. */
function explainDiscarded(parts: readonly ImagePart[]): ImagePart[] {
  const unpacked = parts.some(({ kind, here }) => kind === 'config' && here === true);
  return parts.map((part) =>
    unpacked && part.kind === 'layer' && part.here === false && part.servedBy === undefined
      ? {
          ...part,
          why: 'thrown away here after unpacking (discard_unpacked_layers), and no node has it',
        }
      : part,
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
