import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { hostPlatform } from '../images/image.ts';
import { execute } from './child.ts';
import { runDirectory } from './run.ts';

const BUILD_IMAGE = fileURLToPath(new URL('../../scripts/build-image', import.meta.url));

/** An image of the agent, packed for `ctr image import`. */
export interface AgentImage {
  readonly name: string;
  readonly layout: string;
  readonly archive: string;
}

/** Runs `scripts/build-image` for this machine. */
export async function buildAgentImage(name: string): Promise<AgentImage> {
  const output = join(runDirectory(), 'agent-image');
  const { os, architecture } = hostPlatform();
  const words = ['--platform', `${os}/${architecture}`, '--name', name, '--output', output];
  await execute([BUILD_IMAGE, ...words], { timeoutMs: 600_000 });
  return { name, layout: join(output, 'layout'), archive: join(output, 'image.tar') };
}
