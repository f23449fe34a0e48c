import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';

import { PORTS } from '../../harness/agent-process.ts';
import type { ClusterNode } from '../../harness/cluster.ts';
import type { Host } from '../../harness/namespaces.ts';
import { waitFor } from '../../harness/wait.ts';

/** A request to an agent's port for peers. */
export interface Asked {
  /** Default GET. */
  readonly method?: 'GET' | 'HEAD';
  readonly path: string;
}

/** The status of the answer to a request from this host. */
export async function ask(
  from: Host,
  { host }: ClusterNode,
  { method = 'GET', path }: Asked,
  fields: Readonly<Record<string, string>> = {},
): Promise<number> {
  const socket = (await from.relay()).connect(host.address, PORTS.registry);
  const lines = Object.entries({ host: 'mirror', connection: 'close', ...fields });
  const text = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  socket.write(`${method} ${path} HTTP/1.1\r\n${text}\r\n`);
  const answer = await buffer(socket);
  return Number(/^HTTP\/1\.1 (\d+)/.exec(answer.toString('latin1', 0, 20))?.[1]);
}

/** How many requests and connections the node has refused for this reason. */
export function refusals({ agent }: ClusterNode, reason: string): Promise<number> {
  return agent.metric('peerglass_refused_total', { reason });
}

/** Lines of the node's log about refusals of the host for this reason; there is at least one. */
export async function linesAbout(
  node: ClusterNode,
  { address }: Host,
  reason: string,
): Promise<readonly string[]> {
  return await waitFor('the refusal is logged', async () => {
    const text = await readFile(join(node.host.directory, 'agent.log'), 'utf8');
    const lines = text
      .split('\n')
      .filter((line) => line.includes(`"reason":"${reason}"`) && line.includes(`${address}:`));
    return lines.length > 0 && lines;
  });
}

/** The host of each line about refusals for this reason in the log of the agent on this host, as the line has it. */
export async function loggedHosts({ directory }: Host, reason: string): Promise<readonly string[]> {
  const text = await readFile(join(directory, 'agent.log'), 'utf8');
  return text
    .split('\n')
    .filter((line) => line.includes(`"reason":"${reason}"`))
    .map((line) => (JSON.parse(line) as { readonly address: string }).address)
    .map((address) => address.replace(/\/tcp\/.*$|:\d+$/, ''));
}
