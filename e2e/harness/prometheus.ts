import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { installPrometheus, TOOLS } from '../../scripts/chart/tools.ts';
import type { Host } from './namespaces.ts';
import { waitFor } from './wait.ts';

/** A rule and its state, from Prometheus' API. */
export interface RuleState {
  readonly name: string;
  readonly state: 'inactive' | 'pending' | 'firing';
  readonly health: string;
  readonly lastError?: string;
}

/** Options of {@link Prometheus}. */
export interface PrometheusInit {
  readonly host: Host;
  /** As in its configuration. */
  readonly scrapeConfigs: readonly unknown[];
  /** The number of targets that must answer before it counts as started. */
  readonly targets: number;
  readonly rules: readonly unknown[];
}

/** A configuration that scrapes these targets, each `HOST:PORT`, every second. */
export function staticTargets(targets: readonly string[]): unknown[] {
  return [{ job_name: 'peerglass', static_configs: [{ targets }] }];
}

const URL = 'http://127.0.0.1:9090';

/** Debian's Prometheus on a machine of its own. Ended with the machine. */
export class Prometheus {
  readonly #host: Host;

  private constructor(host: Host) {
    this.#host = host;
  }

  /** Starts it, and waits until it has an answer of every target. */
  static async start(init: PrometheusInit): Promise<Prometheus> {
    const problems = installPrometheus();
    if (problems.length > 0) throw new Error(problems.join('\n'));
    const { host, scrapeConfigs, targets, rules } = init;
    const folder = join(host.directory, 'prometheus');
    await mkdir(folder, { recursive: true });
    // JSON is YAML.
    const groups = [{ name: 'peerglass', rules }];
    await writeFile(join(folder, 'rules.yaml'), JSON.stringify({ groups }));
    const config = {
      global: { scrape_interval: '1s', evaluation_interval: '1s' },
      rule_files: [join(folder, 'rules.yaml')],
      scrape_configs: scrapeConfigs,
    };
    await writeFile(join(folder, 'prometheus.yaml'), JSON.stringify(config));
    host.start('prometheus', {
      command: [
        TOOLS.prometheus,
        `--config.file=${join(folder, 'prometheus.yaml')}`,
        `--storage.tsdb.path=${join(folder, 'data')}`,
        '--web.listen-address=127.0.0.1:9090',
      ],
    });
    const prometheus = new Prometheus(host);
    await waitFor('Prometheus has asked every agent', async () => {
      const [up] = await prometheus.query('count(up == 1)');
      return up === targets;
    });
    return prometheus;
  }

  /**
   * The values that an expression has now, one a series.
   *
   * @throws Error with Prometheus' message when the expression is wrong
   */
  async query(expr: string): Promise<readonly number[]> {
    const data = await this.#get(`query?query=${encodeURIComponent(expr)}`);
    const { result } = data as { result: readonly { value: readonly [number, string] }[] };
    return result.map(({ value: [, text] }) => Number(text));
  }

  /** The labels of each series that an expression has now. */
  async labels(expr: string): Promise<readonly Readonly<Record<string, string>>[]> {
    const data = await this.#get(`query?query=${encodeURIComponent(expr)}`);
    const { result } = data as { result: readonly { metric: Record<string, string> }[] };
    return result.map(({ metric }) => metric);
  }

  /** The rules with their states. */
  async rules(): Promise<readonly RuleState[]> {
    const data = await this.#get('rules');
    const { groups } = data as { groups: readonly { rules: readonly RuleState[] }[] };
    return groups.flatMap(({ rules }) => rules);
  }

  async #get(path: string): Promise<unknown> {
    const response = await this.#host.fetch(`${URL}/api/v1/${path}`);
    const { data, error } = (await response.json()) as { data?: unknown; error?: string };
    if (error !== undefined) throw new Error(`${path}: ${error}`);
    return data;
  }
}
