import { RequestSigner } from '../../signatures/request-signer.ts';
import { RequestVerifier } from '../../signatures/request-verifier.ts';
import { SharedKeys, type NodeIdentity } from '../../signatures/shared-keys.ts';
import type { MembershipSettings } from '../membership.ts';

/** What proves to peers who this node is, and the other way round. */
export interface SignaturesStage {
  readonly signer: RequestSigner;
  readonly verifier: RequestVerifier;
  /** Whether peers without a signature are served and believed. */
  readonly isOpen: boolean;
}

/** Makes the signatures of requests between agents, with the identity of the router and the swarm keys. */
export function signaturesStage(
  router: { readonly identity: NodeIdentity },
  { keeper, isOpen }: MembershipSettings,
): SignaturesStage {
  const none: NonNullable<typeof keeper>['keys'] = [];
  const keys = new SharedKeys({
    identity: () => router.identity,
    swarmKeys: () => keeper?.keys ?? none,
  });
  return {
    signer: new RequestSigner({ keys, isOpen }),
    verifier: new RequestVerifier(keys),
    isOpen,
  };
}
