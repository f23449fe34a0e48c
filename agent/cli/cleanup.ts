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
 * Gives containerd back what it was told before, and removes what the agent kept (`--data-dir`). With `--addr` it then says so until it is asked to end, which is how
 * an uninstaller sees that all nodes are done.
 *
 * @throws HostsConfigError and ListenError, their messages fit for the user
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
