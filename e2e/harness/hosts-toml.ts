import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The node's own agent, as hosts.toml names it. */
const AGENT_ORIGIN = 'http://127.0.0.1:5000';

/**
 * Writes a `hosts.toml` as Peerglass does: the node's agent first.
 *
 * @param registry folder below certs.d: `_default` for all without one of their own, or `HOST:PORT`
 * @param server where containerd goes on to; default: the registry that the image's name tells
 * @param mirrors asked before that; default: the agent
 * @param ca file with the authority of their certificates, where they speak TLS
 */
export async function writeHostsToml(
  certsDir: string,
  registry: string,
  server?: string,
  mirrors: readonly string[] = [AGENT_ORIGIN],
  ca?: string,
): Promise<void> {
  const folder = join(certsDir, registry);
  await mkdir(folder, { recursive: true });
  const upstream = server === undefined ? '' : `server = '${server}'\n`;
  // dial_timeout is known from 2.0 and ignored before.
  const hosts = mirrors.map(
    (mirror) => `
[host.'${mirror}']
capabilities = ['pull', 'resolve']
dial_timeout = '2s'
${ca === undefined ? '' : `ca = '${ca}'\n`}`,
  );
  await writeFile(join(folder, 'hosts.toml'), upstream + hosts.join(''));
}
