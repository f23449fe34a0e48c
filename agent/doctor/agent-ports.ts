import type { Facts } from './facts.ts';
import { at } from './json.ts';

/** Port of the mirror when the agent does not say it: the default of `--registry-addr`. */
const DEFAULT_REGISTRY_PORT = 5000;

/** The ports of the agent, for remedies. */
export interface AgentPorts {
  /** Where the mirror listens. */
  readonly registry: number;
  /** Where the DHT listens. */
  readonly router: number;
  /** Whether the agent says where its DHT listens; otherwise `router` is the one of the options. */
  readonly isRouterKnown: boolean;
}

/** Finds the ports of the agent as it reports them, else those of the options. */
export async function agentPorts(facts: Facts): Promise<AgentPorts> {
  const status = await facts.status().catch(() => undefined);
  const registry = at(status, 'settings', 'registryPort');
  const listening = at(status, 'listening');
  const [router] = (Array.isArray(listening) ? listening : []).flatMap((address) => {
    const port = /\/tcp\/(\d+)/.exec(String(address))?.[1];
    return port === undefined ? [] : [Number(port)];
  });
  return {
    registry: typeof registry === 'number' ? registry : DEFAULT_REGISTRY_PORT,
    router: router ?? facts.init.routerPort,
    isRouterKnown: router !== undefined,
  };
}
