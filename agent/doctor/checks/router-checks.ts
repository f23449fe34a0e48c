import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { agentPorts } from '../agent-ports.ts';
import type { Facts } from '../facts.ts';
import { at } from '../json.ts';
import { isEmbeddedRegistryOn } from '../k3s-config.ts';
import { listenersAt, ownerOf } from '../network/listeners.ts';
import { readSmallText } from '../../files/small-file.ts';
import { CheckSkippedError, failure, ok, skipped, warning, type CheckResult } from '../report.ts';
import type { Check } from '../run-checks.ts';

/** Heading of all checks of ports. */
export const PORTS_GROUP = 'ports of this node';

/** Checks of the port for peers, of who may connect there, and of the program that wants the same one. */
export const ROUTER_CHECKS: readonly Check<Facts>[] = [
  { id: 'router-port', group: PORTS_GROUP, run: routerPort },
  { id: 'swarm-key', group: PORTS_GROUP, run: swarmKey },
  { id: 'embedded-mirror', group: PORTS_GROUP, run: embeddedMirror },
];

async function swarmKey(facts: Facts): Promise<CheckResult> {
  const isOpen = at(await facts.status(), 'settings', 'open');
  if (typeof isOpen !== 'boolean') return skipped('the agent has no option --open');
  if (!isOpen) return ok('nodes without the swarm key cannot connect');
  return warning(
    'the agent is open: whatever reaches its port for peers can advertise an image under any name',
    'give all nodes a key (peerglass swarm-key), node by node: docs/MEMBERSHIP.md, "Without a key"',
  );
}

async function routerPort(facts: Facts): Promise<CheckResult> {
  const port = facts.init.routerPort;
  const listeners = await listenersAt(port);
  const [listener] = listeners;
  const listening = at(await facts.status().catch(() => undefined), 'listening');
  const ours =
    Array.isArray(listening) && listening.some((it) => String(it).includes(`/tcp/${port}`));
  if (ours) return ok(`the agent listens at ${port} for its peers`);
  if (Array.isArray(listening) && listening.length > 0) {
    return ok(`the agent does not listen at ${port}, but at ${listening.join(', ')}`);
  }
  if (listener === undefined) {
    return skipped(`no process listens at ${port}, and the agent does not answer: see agent`);
  }
  const owner = await ownerOf(listener.inode);
  if (owner?.isAgent === true) return ok(`an agent, process ${owner.pid}, listens at ${port}`);
  const remedy = `end that program, or give the agent another port on every node: --router-addr :5011`;
  if (owner === undefined) {
    return failure(
      `another program than our agent listens at ${port}; run doctor as root to see which`,
      `ss -ltnp 'sport = :${port}'\n${remedy}`,
    );
  }
  const k3s = /^(k3s|rke2)/.test(owner.name);
  return failure(
    `port ${port} is held by ${owner.name}, process ${owner.pid}: our agent cannot start${k3s ? '; it is the mirror embedded in k3s' : ''}`,
    k3s ? EMBEDDED_REMEDY : remedy,
  );
}

const EMBEDDED_REMEDY =
  'remove embedded-registry from /etc/rancher/k3s/config.yaml on the servers (or --embedded-registry from their unit), and restart k3s\nor give our agent another port on every node by --router-addr :5011 (K3S_P2P_PORT changes both)';

async function embeddedMirror(facts: Facts): Promise<CheckResult> {
  const file = facts.init.k3sConfig;
  const files = [file, ...(await dropIns(`${file}.d`))];
  let readable = 0;
  for (const each of files) {
    const text = await readSmallText(each).catch((error: unknown) => error);
    if (text instanceof Error) {
      if ('code' in text && text.code === 'ENOENT') continue;
      throw new CheckSkippedError(`${each} cannot be read (${text.message}); run doctor as root`);
    }
    readable += 1;
    if (isEmbeddedRegistryOn(String(text), each)) {
      const port = facts.init.routerPort;
      const { router, isRouterKnown } = await agentPorts(facts);
      if (isRouterKnown && router !== port) {
        return ok(`the mirror embedded in k3s is on, beside our agent, which listens at ${router}`);
      }
      return failure(
        `${each} switches the mirror embedded in k3s on: it takes port ${port}, and names itself in hosts.toml`,
        EMBEDDED_REMEDY,
      );
    }
  }
  return readable === 0
    ? ok('there is no configuration of k3s here')
    : ok('the mirror embedded in k3s is off in the configuration of this node');
}

async function dropIns(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => name.endsWith('.yaml')).map((name) => join(folder, name));
}
