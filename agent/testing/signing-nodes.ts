import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import type { PrivateKey } from '@libp2p/interface';

import { newSwarmKey, type SwarmKey } from '../membership/swarm-key.ts';
import { loadIdentity } from '../routing/node/identity.ts';
import { RequestSigner } from '../signatures/request-signer.ts';
import { RequestVerifier } from '../signatures/request-verifier.ts';
import { SharedKeys, type NodeIdentity } from '../signatures/shared-keys.ts';

/** One swarm key, as that of a cluster. */
export function clusterKeys(): readonly SwarmKey[] {
  return [newSwarmKey()];
}

/** Makes a node with a new identity. */
export async function makeSigningNode(
  swarmKeys: readonly SwarmKey[],
  isOpen = false,
): Promise<SigningNode> {
  return new SigningNode(await loadIdentity(), swarmKeys, isOpen);
}

/** A node that signs and verifies requests. */
export class SigningNode implements NodeIdentity {
  peerId: string;
  privateKey: PrivateKey;
  /** To be replaced as a whole. */
  swarmKeys: readonly SwarmKey[];
  /** By how many seconds its clock is ahead. */
  ahead = 0;
  readonly keys: SharedKeys;
  readonly signer: RequestSigner;
  readonly verifier: RequestVerifier;

  constructor(privateKey: PrivateKey, swarmKeys: readonly SwarmKey[], isOpen: boolean) {
    this.privateKey = privateKey;
    this.peerId = peerIdFromPrivateKey(privateKey).toString();
    this.swarmKeys = swarmKeys;
    this.keys = new SharedKeys({ identity: () => this, swarmKeys: () => this.swarmKeys });
    const now = (): number => Date.now() + this.ahead * 1000;
    this.signer = new RequestSigner({ keys: this.keys, isOpen }, now);
    this.verifier = new RequestVerifier(this.keys, now);
  }
}
