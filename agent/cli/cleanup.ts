import { once } from 'node:events';

import type { OptionValues } from '../config/options.ts';
import type { SUBCOMMANDS } from '../config/subcommands.ts';
import { HttpListener } from '../http/http-listener.ts';
import { sendJson } from '../http/send-json.ts';
import { forgetData } from '../app/forget-data.ts';
import { createConfigurator } from '../app/hosts-options.ts';
import { createLogger } from '../app/logger.ts';
import { endSignal } from '../app/end-signal.ts';

/**
 * Restores the configuration of containerd from before `configuration`, and removes the data of the agent
 * (`--data-dir`). With `--addr` it then serves `/readyz` until a signal ends it, so that an uninstaller sees when all
 * nodes are done.
 *
 * @throws HostsConfigError and ListenError; their messages are for the user
 */
export async function runCleanup(
  config: OptionValues<typeof SUBCOMMANDS.cleanup.options>,
): Promise<void> {
  const logger = createLogger(config['log-level']);
  const signal = endSignal();
  const { restored } = await createConfigurator(config, logger).cleanup(signal);
  const folder = config['data-dir'];
  const dataGone = folder !== '' && (await forgetData(folder));
  logger.info({ restored: restored.length, ...(folder !== '' && { dataGone }) }, 'cleaned up');
  if (config.addr === undefined) return;

  const listener = new HttpListener(config.addr, '--addr', (req, res) => {
    if (req.url === '/readyz') sendJson(res, 200, { ready: true });
    else sendJson(res, 404, { error: 'only /readyz is served here' });
    return Promise.resolve();
  });
  await listener.start();
  if (!signal.aborted) await once(signal, 'abort');
  await listener.stop(0);
}
