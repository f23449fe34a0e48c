import { PORTS } from '../../harness/agent-process.ts';
import { blobPathOf, manifestPath } from '../../harness/mirror.ts';
import { download, request, shareOk, type Requests } from '../support/load.ts';
import type { Report } from '../support/report.ts';
import { atOwnMirror, layerOf, type TransferStage } from '../support/transfer-stage.ts';

const STREAMS = 2;
/** Pause between two requests, which must not be a load themselves, in milliseconds. */
const PAUSE_MS = 10;
const LEAD_SECONDS = 1;

/** A request to a busy agent: to the one without content, unless `ofHolder` is set. */
interface Question {
  readonly name: string;
  readonly ask: Pick<Requests, 'url' | 'method'>;
  readonly ofHolder?: boolean;
}

/**
 * How long `/readyz`, a look-up that finds and a small manifest take, alone and while two clients stream a layer
 * of 1 GiB at full speed through two agents. Clients and both agents share the machine: a request waits for
 * a processor too, not only for the event loop.
 */
export async function measureUnderLoad(
  stage: TransferStage,
  report: Report,
  { seconds }: { readonly seconds: number },
): Promise<void> {
  const { a, b } = stage;
  const [large, app] = [await stage.large(), await stage.app()];
  const streamed = atOwnMirror(blobPathOf(large, layerOf(large).digest));
  const ready = { url: `http://127.0.0.1:${PORTS.metrics}/readyz` } as const;
  const questions: readonly Question[] = [
    { name: '/readyz of the asked agent', ask: ready },
    { name: '/readyz of the holder', ask: ready, ofHolder: true },
    {
      name: 'look-up (HEAD of a blob of the peer)',
      ask: { url: atOwnMirror(blobPathOf(app, layerOf(app).digest)), method: 'HEAD' },
    },
    {
      name: 'manifest, local to the holder',
      ask: { url: atOwnMirror(manifestPath(app, app.target.digest)) },
      ofHolder: true,
    },
    {
      name: 'manifest, from the peer',
      ask: { url: atOwnMirror(manifestPath(app, app.target.digest)) },
    },
  ];
  for (const { name, ask, ofHolder } of questions) {
    const host = ofHolder === true ? a.host : b.host;
    const measure = async (when: string): Promise<void> => {
      const options = { ...ask, connections: 1, seconds, pauseMs: PAUSE_MS };
      const answered = await request(host, options);
      const note = `${answered.count} requests, ${(100 * shareOk(answered)).toFixed(1)} % of them 200`;
      report.add('load', `${name}, ${when}, p50`, answered.p50, 'ms', note);
      report.add(
        'load',
        `${name}, ${when}, p99`,
        answered.p99,
        'ms',
        `max ${answered.max.toFixed(1)} ms`,
      );
    };
    await measure('alone');
    const streams = download(b.host, {
      url: streamed,
      clients: STREAMS,
      seconds: seconds + 2 * LEAD_SECONDS,
    });
    await measure('streaming');
    const { bytes, seconds: taken } = await streams;
    report.progress(`load: ${Math.round(bytes / (1 << 20) / taken)} MiB/s streamed meanwhile`);
  }
}
