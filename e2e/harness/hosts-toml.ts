import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The node's own agent, as hosts.toml names it. */
const AGENT_ORIGIN = 'http://127.0.0.1:5000';

/**
 * Writes a `hosts.toml` as Peerglass does: the node's agent first.
 *
 * @param registry folder below certs.d: `HOST:PORT`, or `_default` for all registries without a folder
 * @param server where containerd goes after the mirrors; default: the registry in the name of the image
 * @param mirrors where containerd goes first; default: the agent
 * @param ca file with the authority of mirrors with TLS
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
