import type { DoctorConfig } from '../config/doctor-options.ts';
import { UsageError } from '../config/resolve.ts';
import { CHECKS } from '../doctor/checks.ts';
import { Facts } from '../doctor/facts.ts';
import { ImageFollower } from '../doctor/image/follow-image.ts';
import { renderImage } from '../doctor/image/image-report.ts';
import { qualify } from '../doctor/image/qualify.ts';
import { renderText, wantsColour } from '../doctor/render.ts';
import { reportOf } from '../doctor/report.ts';
import { runChecks } from '../doctor/run-checks.ts';
import { DEFAULT_FOLDER } from '../hosts/hosts-toml.ts';
import { VERSION } from '../app/version.ts';

/**
 * Examines this node, or follows one image (`--image`), and prints the report on stdout.
 *
 * Ends the process with 1 when a check failed, and with 0 otherwise, even with warnings.
 *
 * @throws UsageError when `--image` is no name of an image
 */
export async function runDoctor(config: DoctorConfig, env: NodeJS.ProcessEnv): Promise<never> {
  const image = config.image === '' ? undefined : qualify(config.image);
  if (config.image !== '' && image === undefined) {
    throw new UsageError(
      `--image: "${config.image}" is no image; write registry.example/team/app:1.0`,
    );
  }
  using facts = new Facts({
    socketPath: config['containerd-sock'],
    namespace: config['containerd-namespace'],
    certsFolder: config['containerd-registry-config-path'],
    configFile: config['containerd-config'],
    mirrorTargets: config['mirror-targets'],
    registries: config['mirrored-registries'].map((it) => it?.registry ?? DEFAULT_FOLDER),
    metricsAddress: config['metrics-addr'],
    routerPort: config['router-addr'].port,
    registriesYaml: config['registries-yaml'],
    k3sConfig: config['k3s-config'],
    tls: {
      cert: config['registry-tls-cert'],
      key: config['registry-tls-key'],
      ca: config['registry-tls-ca'],
      clientCert: config['registry-tls-client-cert'],
      clientKey: config['registry-tls-client-key'],
    },
  });
  const asJson = config.output === 'json';
  if (image !== undefined) {
    const report = await new ImageFollower(facts, VERSION).follow(image);
    return await end(asJson ? toJson(report) : renderImage(report), report.result);
  }
  const report = reportOf(VERSION, await runChecks(CHECKS, facts));
  const colour = wantsColour(process.stdout.isTTY, env);
  return await end(asJson ? toJson(report) : renderText(report, colour), report.result);
}

function toJson(report: unknown): string {
  return `${JSON.stringify(report, undefined, 2)}\n`;
}

/** Prints the report and ends the process, which a request without an answer would keep alive for seconds. */
async function end(text: string, result: 'ok' | 'warning' | 'failure'): Promise<never> {
  await new Promise<void>((resolve) => {
    process.stdout.write(text, () => {
      resolve();
    });
  });
  process.exit(result === 'failure' ? 1 : 0);
}
