import { NamedMembers } from '../fanout/wire/named-members.ts';
import { Downloads } from '../fanout/downloads/downloads.ts';
import type { Decision } from '../fanout/question.ts';
import type { ContentRequest } from '../oci/content-request.ts';
import type { Digest } from '../oci/digest.ts';
import { MemoryNetwork, MemoryRouter } from '../routing/memory-router.ts';
import { MemoryIngests } from '../store/memory-ingests.ts';
import { MemoryStore } from '../store/memory-store.ts';
import { sha256 } from './image.ts';
import { ScriptedArbiters, ScriptedFollowers } from './scripted-arbiters.ts';
import { silent } from './test-network.ts';

/** The node itself. */
export const SELF = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA';

/** A peer that the router knows, and where it is. */
export const PEER = '12D3KooWBmAwcd4PJNJvfV89HwE48nwkRmAgo8Vy3uQEyNNHBox2';
export const ORIGINS = ['http://10.0.0.2:5000'];

/** A content of 1,000 bytes. */
export const BYTES = Buffer.alloc(1000, 7);
export const DIGEST = sha256(BYTES);

/** The answers that an arbiter gives. */
export const FETCH: Decision = { kind: 'fetch', renewMs: 50 };
export function follow(peerId: string, origins: readonly string[] = []): Decision {
  return { kind: 'follow', renewMs: 50, parent: { peerId, origins } };
}

/** A request for a blob, or for a tag. */
export function requestFor(digest?: Digest): ContentRequest {
  return {
    kind: 'blob',
    method: 'GET',
    registry: 'registry.example',
    repository: 'team/image',
    ...(digest === undefined ? { tag: '1.0' } : { digest }),
  };
}

/** The downloads of a node with a store in memory, and arbiters that answer what the test says. */
export class DownloadsFixture {
  readonly ingests = new MemoryIngests();
  readonly store = new MemoryStore(this.ingests);
  readonly arbiters = new ScriptedArbiters();
  readonly followers = new ScriptedFollowers();
  readonly downloads: Downloads;
  /** Whether the registry serves the node. */
  mayFetch = true;

  constructor() {
    const network = new MemoryNetwork();
    const router = new MemoryRouter({ network }, { peerId: SELF, origins: [] });
    network.join({ peerId: PEER, origins: ORIGINS });
    const { store, arbiters, followers } = this;
    const named = new NamedMembers({ router });
    this.downloads = new Downloads(
      { store, arbiters, named, followers, mayFetch: () => this.mayFetch, logger: silent },
      { zone: 'a' },
    );
  }
}
