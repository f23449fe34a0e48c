import { once } from 'node:events';
import { resolve } from 'node:path';

import type { OptionValues } from '../config/options.ts';
import type { SUBCOMMANDS } from '../config/subcommands.ts';
import { editedFiles } from '../hosts/edited-files.ts';
import { HostsConfigError, asHostsError } from '../hosts/hosts-error.ts';
import { isFolder } from '../hosts/root-folder.ts';
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
 * @throws HostsConfigError, also without a folder to clean up, and ListenError; their messages are for the user
 */
export async function runCleanup(
  config: OptionValues<typeof SUBCOMMANDS.cleanup.options>,
): Promise<void> {
  const logger = createLogger(config);
  const signal = endSignal();
  const certs = resolve(config['containerd-registry-config-path']);
  const hasCerts = await isThere(certs);
  const { restored } = await createConfigurator(config, logger).cleanup(signal);
  const edited = (await isThere(certs)) ? await editedFiles(certs) : [];
  for (const path of edited) {
    logger.warn(
      { path },
      'this file stays, because it was edited after it was written; remove the mirror from it, or the file',
    );
  }
  const folder = config['data-dir'];
  const dataGone = folder !== '' && (await forgetData(folder));
  const missing = `${certs}: no such folder, so nothing was restored; is --containerd-registry-config-path right?`;
  // The uninstaller of a cluster comes to nodes that were never configured, too.
  if (!hasCerts && config.addr === undefined) throw new HostsConfigError(missing);
  if (!hasCerts) logger.warn(missing);
  logger.info(
    {
      restored: restored.length,
      ...(edited.length > 0 && { edited: edited.length }),
      ...(folder !== '' && { dataGone }),
    },
    edited.length > 0 ? 'cleaned up, except for edited files' : 'cleaned up',
  );
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

async function isThere(folder: string): Promise<boolean> {
  try {
    return await isFolder(folder);
  } catch (error) {
    throw asHostsError(error, `cannot read ${folder}`);
  }
}
