/**
 * A run for `run.e2e.ts` to interrupt: a network, a host, a containerd on it and a pod. Prints one line of JSON
 * when all is up, and then waits to be ended.
 */
import { containerdRelease } from './containerd-versions.ts';
import { ContainerdNode } from './containerd-node.ts';
import { Network } from './namespaces.ts';
import { makePauseImage } from './pause-image.ts';
import { Pod } from './pod.ts';
import { runDirectory, runName } from './run.ts';

const network = await Network.create();
const host = await network.addHost('a');
const node = await ContainerdNode.start({ host, release: await containerdRelease('bookworm') });
await node.importArchive(await makePauseImage(runDirectory()));
await Pod.run(node, { name: 'pod', hostNetwork: true });
await host.relay();
process.stdout.write(`${JSON.stringify({ name: runName(), directory: runDirectory() })}\n`);
setInterval(() => node.certsDir, 60_000);
