import type { Host } from '../../harness/namespaces.ts';
import { PART } from './part.ts';
import { machineBusyMs, treeCpuMs } from './proc.ts';
import type { Report } from './report.ts';
import { Rounds, type Measured, type Subject } from './rounds.ts';

const MIB = 1 << 20;
const GIB = 1 << 30;
/** What {@link take} calls the throughput. */
export const RATE = 'MiB/s';
const CPU = 'CPU s/GiB';
const MACHINE = 'machine s/GiB';

/** A server that has the layer. */
export interface Server {
  readonly name: string;
  readonly url: string;
  /** Processes whose CPU counts, with their children. */
  readonly pids: readonly number[];
}

/** What is compared must be the same: all of it, once, which fills the page cache too. */
export async function verify(
  servers: readonly Server[],
  from: Host,
  digest: string,
): Promise<void> {
  for (const { name, url } of servers) {
    const command = ['sh', '-c', `curl -sSf "$0" | sha256sum`, url] as const;
    const [hex = ''] = (await from.execute(command)).split(' ');
    if (`sha256:${hex}` !== digest) throw new Error(`wrong bytes from ${name}: sha256:${hex}`);
  }
}

/**
 * Downloads once for each measurement, and throws the bytes away.
 *
 * @param words for curl. Default: those of all but the first byte
 */
export function byCurl(
  { name, url, pids }: Server,
  from: Host,
  words: readonly string[] = ['-H', PART],
): Subject {
  const format = '%{size_download} %{time_total}';
  const measure = async (): Promise<Measured> => {
    const meter = await CpuMeter.start(pids);
    const output = await from.execute([
      'curl',
      '-sSf',
      ...words,
      '-o',
      '/dev/null',
      '-w',
      format,
      url,
    ]);
    const [bytes = NaN, seconds = NaN] = output.split(' ').map(Number);
    return { [RATE]: bytes / MIB / seconds, ...(await meter.perGib(bytes)) };
  };
  return { name, measure };
}

/** CPU time from its start on. */
export class CpuMeter {
  readonly #pids: readonly number[];
  readonly #before: readonly [number, number];

  private constructor(pids: readonly number[], before: readonly [number, number]) {
    this.#pids = pids;
    this.#before = before;
  }

  static async start(pids: readonly number[]): Promise<CpuMeter> {
    return new CpuMeter(pids, [await treeCpuMs(pids), await machineBusyMs()]);
  }

  /**
   * Seconds a GiB. Once a process has handed its bytes over, the kernel accounts its work to the process that runs at
   * that moment. Only the time of the whole machine, with the client, has all of it.
   */
  async perGib(bytes: number): Promise<Measured> {
    const [processes, machine] = this.#before;
    const gib = bytes / GIB;
    return {
      [CPU]: ((await treeCpuMs(this.#pids)) - processes) / 1000 / gib,
      [MACHINE]: ((await machineBusyMs()) - machine) / 1000 / gib,
    };
  }
}

/** Measures, and adds rate and CPU of each subject to the report. */
export async function take(
  report: Report,
  figure: string,
  subjects: readonly Subject[],
  rounds: number,
): Promise<Rounds> {
  const taken = new Rounds();
  await taken.run(subjects, rounds, (text) => {
    report.progress(`${figure}: ${text}`);
  });
  for (const { name } of subjects) {
    report.add(figure, `${name}, throughput`, taken.median(name, RATE), RATE);
    const machine = `whole machine, client included: ${taken.median(name, MACHINE).toFixed(2)}`;
    report.add(figure, `${name}, CPU`, taken.median(name, CPU), 's/GiB', machine);
  }
  return taken;
}

/** Adds the ratios of two subjects to the report. */
export function compare(
  report: Report,
  figure: string,
  taken: Rounds,
  ours: string,
  peer: string,
  goal: { readonly rate?: string; readonly cpu?: string } = {},
): void {
  const atLeast = goal.rate === undefined ? '' : `goal: at least ${goal.rate}`;
  const atMost = goal.cpu === undefined ? '' : `goal: at most ${goal.cpu}`;
  const [rate, cpu] = [taken.ratio(ours, peer, RATE), taken.ratio(ours, peer, CPU)];
  const machine = taken.ratio(ours, peer, MACHINE);
  report.add(figure, `throughput, ${ours} to ${peer}`, rate, 'x', atLeast);
  report.add(figure, `CPU, ${ours} to ${peer}`, cpu, 'x', atMost);
  report.add(figure, `CPU of the machine, ${ours} to ${peer}`, machine, 'x');
}
