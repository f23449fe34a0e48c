/**
 * `node members-main.ts COUNT FIRST-PORT PEER`: honest members of the DHT without a registry, so that a network is larger
 * than the 20 that keep the records of a key. Prints `joined` when all know another.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { StaticBootstrapper } from '../../../agent/routing/bootstrap/static-bootstrapper.ts';
import { Libp2pRouter } from '../../../agent/routing/libp2p-router.ts';
import { loadIdentity } from '../../../agent/routing/node/identity.ts';
import { memberOf } from '../../harness/swarm.ts';
import { quiet } from '../../../agent/testing/quiet.ts';

const [count, firstPort, peer = ''] = process.argv.slice(2);

for (let index = 0; index < Number(count); index++) {
  const router = new Libp2pRouter(
    {
      privateKey: await loadIdentity(),
      bootstrapper: new StaticBootstrapper([peer]),
      logger: quiet,
      ...memberOf(),
    },
    { listen: [`/ip4/0.0.0.0/tcp/${Number(firstPort) + index}`], registryPort: 5000 },
  );
  await router.start();
  while (router.status().peers === 0) await sleep(50);
}
process.stdout.write('joined\n');
