import pLimit from 'p-limit';

import type { Digest } from '../../oci/digest.ts';
import type { Reference } from '../../oci/reference.ts';
import { Deadline } from '../../timing/deadline.ts';
import type { Facts } from '../facts.ts';
import type { ImagePart, ImageReport } from './image-report.ts';
import { ImageTrace } from './image-trace.ts';
import { readImageTree, type ImageDescriptor } from './manifest-tree.ts';
import { mirrorHeaders } from '../mirror-headers.ts';
import { MirrorClient } from './mirror-client.ts';
import { nameOf } from './qualify.ts';
import { settingsOf, type Settings } from './settings.ts';
import { whyNotAsked } from './why-not-asked.ts';

/** Upper bound for descriptors that are traced concurrently. */
const CONCURRENCY = 8;
/** Upper bound for descriptors of one image that are traced. */
const MAX_DESCRIPTORS = 200;
/** How long all of it may take, in milliseconds. */
const ALL_MS = 8_500;

/** Follows one image: which nodes have each part of it, which node would serve it, and why not. */
export class ImageFollower {
  readonly #facts: Facts;
  readonly #version: string;
  readonly #notes: string[] = [];
  /** Why containerd would not ask the mirror; undefined when it would, or when that is unknown. */
  #notAsked: string | undefined;

  /** @param version version of the program */
  constructor(facts: Facts, version: string) {
    this.#facts = facts;
    this.#version = version;
  }

  /** Makes the report. Never rejects: the report notes what could not be found out. */
  async follow(reference: Reference): Promise<ImageReport> {
    using deadline = new Deadline(ALL_MS);
    const { signal } = deadline;
    const settings = await this.#settings();
    const { tag } = reference;
    const identity = await this.#facts.identity();
    const origin = this.#mirrorOrigin(settings);
    const headers = await mirrorHeaders(this.#facts);
    const mirror = new MirrorClient(origin, reference, identity, headers);
    const trace = new ImageTrace(this.#facts, settings, reference, mirror);
    this.#notAsked = await whyNotAsked(this.#facts, reference.registry);

    const parts: ImagePart[] = [];
    let root: Digest | undefined = reference.digest;
    if (tag !== undefined) {
      const { part, digest } = await trace.tag(tag, signal);
      parts.push(part);
      root ??= digest;
    }
    if (root === undefined) return this.#report(reference, parts);

    const descriptors = await this.#descriptors(trace, root, signal);
    const limit = pLimit(CONCURRENCY);
    const followed = await Promise.all(
      descriptors
        .slice(0, MAX_DESCRIPTORS)
        .map((descriptor) => limit(() => trace.descriptor(descriptor, signal))),
    );
    parts.push(...explainDiscarded(followed));
    if (descriptors.length > MAX_DESCRIPTORS) {
      this.#notes.push(`${descriptors.length - MAX_DESCRIPTORS} descriptors are left out`);
    }
    return this.#report(reference, parts);
  }

  #mirrorOrigin({ mirrorHost, mirrorPort, registryTls }: Settings): string {
    const { agent, init } = this.#facts;
    const bare = mirrorHost.includes(':') ? `[${mirrorHost}]` : mirrorHost;
    const host = bare === '' ? new URL(agent.origin).hostname : bare;
    const scheme = (registryTls ?? init.tls.cert !== '') ? 'https' : 'http';
    return `${scheme}://${host}:${mirrorPort}`;
  }

  async #settings(): Promise<Settings> {
    try {
      return settingsOf(await this.#facts.status());
    } catch (error) {
      this.#notes.push(messageOf(error));
      return settingsOf(undefined);
    }
  }

  async #descriptors(
    trace: ImageTrace,
    root: Digest,
    signal: AbortSignal,
  ): Promise<ImageDescriptor[]> {
    try {
      const tree = await readImageTree(root, (digest) => trace.manifest(digest, signal));
      if (tree.otherPlatforms > 0) {
        this.#notes.push(`manifests of ${tree.otherPlatforms} other platforms are left out`);
      }
      if (tree.unread.length > 0) {
        this.#notes.push(
          `the content of some manifests is unknown, because no node here has them: ${tree.unread.join(', ')}`,
        );
      }
      return [...tree.descriptors];
    } catch (error) {
      this.#notes.push(messageOf(error));
      return [{ kind: 'manifest', digest: root }];
    }
  }

  #report(reference: Reference, parts: readonly ImagePart[]): ImageReport {
    const missing = parts.filter((it) => it.servedBy === undefined && it.isForRegistry !== true);
    const named = parts.some(({ isForRegistry }) => isForRegistry);
    const content = parts.filter(({ isForRegistry }) => isForRegistry !== true);
    const peers = parts.filter(({ servedBy = 'local' }) => servedBy !== 'local').length;
    const served = content.length - missing.length;
    const notAsked = this.#notAsked;
    if (notAsked !== undefined) {
      this.#notes.push(
        'the table shows what the mirror would serve if it were asked; peerglass doctor has the remedy',
      );
    }
    const reason =
      notAsked !== undefined
        ? `containerd will not ask the mirror for images of ${reference.registry}: ${notAsked}.`
        : missing.length === 0
          ? `The mirror would serve all of it: ${served - peers} parts from this node, ${peers} from peers.${named ? ' The registry says what the name means (--share).' : ''}`
          : `${missing.length} of ${parts.length} parts would come from the registry.`;
    return {
      schema: 1,
      version: this.#version,
      image: nameOf(reference),
      result: missing.length === 0 && notAsked === undefined ? 'ok' : 'failure',
      reason,
      parts,
      notes: this.#notes,
    };
  }
}

/** Explains missing layers of an image whose manifest and config are here: they were discarded after unpacking. */
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
