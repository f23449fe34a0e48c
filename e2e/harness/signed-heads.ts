import type { Libp2pRouter } from '../../agent/routing/libp2p-router.ts';
import { RequestVerifier } from '../../agent/signatures/request-verifier.ts';
import { SharedKeys } from '../../agent/signatures/shared-keys.ts';
import { responseHead } from '../../agent/testing/rogue-peer.ts';
import type { memberOf } from './swarm.ts';

/** Makes the head of an answer. */
export type MakeHead = (
  status: number,
  fields: Readonly<Record<string, string | number>>,
) => string;

/** Signs the answers of a member that misbehaves, as one would that was taken over: agents believe no other answers. */
export class SignedHeads {
  readonly #verifier: RequestVerifier;

  constructor(router: Pick<Libp2pRouter, 'identity'>, member: ReturnType<typeof memberOf>) {
    const { keys: swarmKeys = [] } = member.swarm?.swarmKeys ?? {};
    const identity = (): Libp2pRouter['identity'] => router.identity;
    this.#verifier = new RequestVerifier(new SharedKeys({ identity, swarmKeys: () => swarmKeys }));
  }

  /** @param head the head of the request, as it came */
  answering(head: string): MakeHead {
    const [, method = '', target = ''] = /^(\S+) (\S+) /.exec(head) ?? [];
    const read = (name: string): string | undefined =>
      new RegExp(`^${name}: *(.*)$`, 'im').exec(head)?.[1]?.trim();
    const range = method === 'GET' ? read('range') : undefined;
    const proof = this.#verifier.verify({ method, target, range }, read);
    return (status, fields) => {
      const texts = Object.fromEntries(
        Object.entries(fields).map(([name, value]) => [name.toLowerCase(), String(value)]),
      );
      const signature =
        'signAnswer' in proof ? proof.signAnswer(status, (name) => texts[name]) : {};
      return responseHead(status, { ...texts, ...signature });
    };
  }
}
